"""Client for genqueue, a durable job queue between your product and Replicate."""

from ._client import Client, is_complete, is_final
from ._errors import ApiError, JobFailed, NetworkError
from ._files import File

__all__ = ["ApiError", "Client", "File", "JobFailed", "NetworkError", "is_complete", "is_final"]
__version__ = "0.1.0"
