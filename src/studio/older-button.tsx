interface OlderButtonProps {
  /** What `useInfiniteQuery` returned. */
  of: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => Promise<unknown> }
  /** Such as `Older entries`. */
  text: string
}

/** Loads the next page of a list; renders nothing on the last one. */
export function OlderButton({ of: { hasNextPage, isFetchingNextPage, fetchNextPage }, text }: OlderButtonProps) {
  if (!hasNextPage) return null
  return (
    <button type="button" className="button" disabled={isFetchingNextPage} onClick={() => void fetchNextPage()}>
      {isFetchingNextPage ? 'Loading…' : text}
    </button>
  )
}
