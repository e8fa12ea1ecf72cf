
// Numbers and times for people.

function bytes(count) {
  const units = ['B', 'KB', 'MB', 'GB']
  let unit = 0
  while (count >= 1000 && unit < 3) { count /= 1000; unit += 1 }
  return `${count < 10 && unit ? count.toFixed(1) : Math.round(count)} ${units[unit]}`
}

function span(ms) {
  const minutes = Math.max(0, Math.floor(ms / 60000))
  if (minutes < 1) return 'a moment'
  if (minutes < 60) return `${minutes} min`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

function viewers(count) {
  return count === 1 ? '1 viewer' : `${count} viewers`
}

function picture(stream) {
  const rate = stream.bitrate >= 1e6 ? `${(stream.bitrate / 1e6).toFixed(1)} Mbit/s` : `${Math.round(stream.bitrate / 1000)} kbit/s`
  return stream.width ? `${stream.width} × ${stream.height}, ${rate}` : `sound only, ${rate}`
}

const STATES = {live: 'LIVE', away: 'BACK SOON', ended: 'ENDED', offline: 'OFFLINE'}

async function status() {
  const answer = await fetch('/video/status.json', {cache: 'no-store'})
  if (!answer.ok) throw new Error(await answer.text())
  return answer.json()
}
