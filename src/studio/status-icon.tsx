import {
  ArrowDownToLine,
  Ban,
  Check,
  CircleArrowUp,
  CircleDashed,
  CircleQuestionMark,
  CircleStop,
  Clock,
  LoaderCircle,
  TriangleAlert,
  type LucideIcon,
} from 'lucide-react'
import type { Shape } from './run-labels.ts'

const SHAPES: Record<Shape, LucideIcon> = {
  waiting: CircleDashed,
  sending: CircleArrowUp,
  question: CircleQuestionMark,
  starting: Clock,
  running: LoaderCircle,
  saving: ArrowDownToLine,
  stopping: CircleStop,
  done: Check,
  failed: TriangleAlert,
  canceled: Ban,
}

/** Each status has its own shape, so colour carries no extra meaning. */
export function StatusIcon({ shape, size = 16 }: { shape: Shape; size?: number }) {
  const Shape = SHAPES[shape]
  return <Shape size={size} className={`status status-${shape}`} />
}
