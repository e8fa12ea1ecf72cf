
// Playlists of HLS, and the little of MP4 that a player has to know.

/** What the first playlist says: the codecs, and where the segments are listed. */
function readMultivariant(text, base) {
  const codecs = /CODECS="([^"]*)"/.exec(text)
  const address = text.split('\n').find(line => line && !line.startsWith('#'))
  if (!codecs || !address) throw new Error('no playlist')
  return {type: `video/mp4; codecs="${codecs[1]}"`, media: new URL(address, base).href}
}

/** What the second says: the segments with their numbers. */
function readMedia(text, base) {
  const list = {target: 2, ended: false, segments: []}
  let [number, map, duration, at] = [0, '', 0, 0]
  for (const line of text.split('\n')) {
    const value = line.slice(line.indexOf(':') + 1)
    if (line.startsWith('#EXT-X-MEDIA-SEQUENCE:')) number = Number(value)
    else if (line.startsWith('#EXT-X-TARGETDURATION:')) list.target = Number(value)
    else if (line.startsWith('#EXT-X-MAP:')) map = new URL(/URI="([^"]*)"/.exec(line)[1], base).href
    else if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) at = Date.parse(value)
    else if (line.startsWith('#EXTINF:')) duration = parseFloat(value)
    else if (line.startsWith('#EXT-X-ENDLIST')) list.ended = true
    else if (line && !line.startsWith('#')) {
      list.segments.push({number, map, duration, at, address: new URL(line, base).href})
      number += 1
    }
  }
  return list
}

/** The boxes between two places of an MP4: their names, and where their content is. */
function* boxes(view, from, to) {
  while (from + 8 <= to) {
    const size = view.getUint32(from)
    if (size < 8) return
    const name = String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + from + 4, 4))
    yield {name, from: from + 8, to: Math.min(from + size, to)}
    from += size
  }
}

/** All boxes under a path of names. */
function find(view, path, from = 0, to = view.byteLength) {
  const [name, ...rest] = path
  const found = [...boxes(view, from, to)].filter(box => box.name === name)
  return rest.length ? found.flatMap(box => find(view, rest, box.from, box.to)) : found
}

/** How many ticks a second has, for each track of an initialisation. */
function scales(buffer) {
  const view = new DataView(buffer)
  const track = box => view.getUint32(box.from + (view.getUint8(box.from) ? 20 : 12))
  const ticks = box => view.getUint32(box.from + (view.getUint8(box.from) ? 20 : 12))
  const ids = find(view, ['moov', 'trak', 'tkhd']).map(track)
  const rates = find(view, ['moov', 'trak', 'mdia', 'mdhd']).map(ticks)
  return new Map(ids.map((id, at) => [id, rates[at]]))
}

/** When a segment begins, in seconds: its earliest track. */
function begins(buffer, rates) {
  const view = new DataView(buffer)
  const times = find(view, ['moof', 'traf']).map(({from, to}) => {
    const [head] = find(view, ['tfhd'], from, to)
    const [time] = find(view, ['tfdt'], from, to)
    const ticks = view.getUint8(time.from) ? Number(view.getBigUint64(time.from + 4)) : view.getUint32(time.from + 4)
    return ticks / rates.get(view.getUint32(head.from + 4))
  })
  return Math.min(...times)
}
