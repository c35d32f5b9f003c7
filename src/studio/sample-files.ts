/** Sample files for presets that need some, generated in the browser instead of shipped. */

function canvas(width: number, height: number): { element: HTMLCanvasElement; pen: CanvasRenderingContext2D } {
  const element = document.createElement('canvas')
  element.width = width
  element.height = height
  const pen = element.getContext('2d')
  if (!pen) throw new Error('This browser has no 2D canvas.')
  return { element, pen }
}

function toFile(element: HTMLCanvasElement, name: string): Promise<File> {
  return new Promise((resolve, reject) => {
    element.toBlob(
      (blob) =>
        blob
          ? resolve(new File([blob], name, { type: 'image/jpeg' }))
          : reject(new Error('The sample picture could not be created.')),
      'image/jpeg',
      0.9,
    )
  })
}

function disc(pen: CanvasRenderingContext2D, x: number, y: number, radius: number, colour: string): void {
  pen.fillStyle = colour
  pen.beginPath()
  pen.arc(x, y, radius, 0, 2 * Math.PI)
  pen.fill()
}

/** A house by the sea in sepia, faded and scratched. */
export function drawOldPhotograph(): Promise<File> {
  const { element, pen } = canvas(640, 480)
  const sky = pen.createLinearGradient(0, 0, 0, 300)
  sky.addColorStop(0, '#b39b76')
  sky.addColorStop(1, '#e3d3b1')
  pen.fillStyle = sky
  pen.fillRect(0, 0, 640, 480)
  disc(pen, 480, 110, 42, '#efe3c6')
  pen.fillStyle = '#8d7650'
  pen.fillRect(0, 300, 640, 180)
  pen.fillStyle = '#5f4c30'
  pen.fillRect(150, 190, 170, 130)
  pen.fillStyle = '#4a3a23'
  pen.beginPath()
  pen.moveTo(130, 192)
  pen.lineTo(235, 110)
  pen.lineTo(340, 192)
  pen.fill()
  pen.fillStyle = '#d8c596'
  for (const x of [175, 255]) pen.fillRect(x, 225, 40, 40)
  pen.strokeStyle = 'rgb(250 244 228 / 85%)'
  for (const [x, lean, width] of [
    [90, 40, 1.5],
    [365, -25, 2],
    [520, 15, 1],
    [580, -60, 1.5],
  ] as const) {
    pen.lineWidth = width
    pen.beginPath()
    pen.moveTo(x, 0)
    pen.lineTo(x + lean, 480)
    pen.stroke()
  }
  return toFile(element, 'old-photograph.jpg')
}

export function drawPortrait(): Promise<File> {
  const { element, pen } = canvas(512, 512)
  pen.fillStyle = '#9db8c9'
  pen.fillRect(0, 0, 512, 512)
  disc(pen, 256, 560, 190, '#35506b')
  disc(pen, 256, 215, 150, '#4a2f23')
  disc(pen, 256, 245, 125, '#eec3a0')
  for (const x of [210, 302]) disc(pen, x, 225, 13, '#2c2320')
  pen.strokeStyle = '#a2504a'
  pen.lineWidth = 9
  pen.lineCap = 'round'
  pen.beginPath()
  pen.arc(256, 272, 44, 0.2 * Math.PI, 0.8 * Math.PI)
  pen.stroke()
  return toFile(element, 'portrait.jpg')
}

const RATE = 16_000
const SECONDS = 2

/** A tone that rises and falls like a voice: WAV, 16 bit, one channel. */
export function speakNonsense(): File {
  const samples = RATE * SECONDS
  const data = new DataView(new ArrayBuffer(44 + samples * 2))
  const text = (at: number, letters: string): void =>
    new TextEncoder().encode(letters).forEach((byte, i) => data.setUint8(at + i, byte))
  text(0, 'RIFF')
  data.setUint32(4, 36 + samples * 2, true)
  text(8, 'WAVEfmt ')
  data.setUint32(16, 16, true)
  data.setUint16(20, 1, true)
  data.setUint16(22, 1, true)
  data.setUint32(24, RATE, true)
  data.setUint32(28, RATE * 2, true)
  data.setUint16(32, 2, true)
  data.setUint16(34, 16, true)
  text(36, 'data')
  data.setUint32(40, samples * 2, true)
  let phase = 0
  for (let i = 0; i < samples; i++) {
    const time = i / RATE
    phase += (2 * Math.PI * (170 + 50 * Math.sin(5 * time))) / RATE
    const syllable = Math.max(0, Math.sin(2 * Math.PI * 3.5 * time))
    const voice = Math.sin(phase) + 0.5 * Math.sin(2 * phase) + 0.25 * Math.sin(3 * phase)
    data.setInt16(44 + i * 2, voice * syllable * 9_000, true)
  }
  return new File([data], 'nonsense.wav', { type: 'audio/wav' })
}
