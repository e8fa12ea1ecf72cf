
// The page of what is live: asks every few seconds and changes what has changed.

const $ = id => document.getElementById(id)
const cards = new Map()

$('where').textContent = `rtmp://${location.hostname}/live/NAME?key=KEY`

/** Bring the items of a list in line with what there is, by their keys. */
function show(list, template, there, key, fill) {
  const found = new Set()
  for (const one of there) {
    const id = list.id + ' ' + key(one)
    found.add(id)
    let item = cards.get(id)
    if (!item) {
      item = template.content.firstElementChild.cloneNode(true)
      cards.set(id, item)
    }
    fill(item, one)
    list.append(item)
  }
  for (const [id, item] of cards) {
    if (id.startsWith(list.id + ' ') && !found.has(id)) { item.remove(); cards.delete(id) }
  }
}

function fillStream(item, stream) {
  const find = selector => item.querySelector(selector)
  find('a').href = `/video/${stream.app}/${stream.name}`
  find('.badge').dataset.is = stream.state
  find('.badge span').textContent = STATES[stream.state]
  find('.count').textContent = viewers(stream.viewers)
  find('.about b').textContent = stream.name
  const since = stream.state === 'live' ? ` · for ${span(Date.now() - Date.parse(stream.since))}` : ''
  find('.about span').textContent = `${stream.app} · ${picture(stream)}${since}`
}

function fillRecording(item, recording) {
  const find = selector => item.querySelector(selector)
  find('a').href = `/video/recordings/${recording.app}/${recording.name}/${recording.file}`
  find('b').textContent = `${recording.app} / ${recording.name}`
  find('.size').textContent = bytes(recording.bytes)
  find('.when').textContent = new Date(recording.modified).toLocaleString()
}

async function look() {
  try {
    const {streams, recordings} = await status()
    const key = one => `${one.app}/${one.name}/${one.file}`
    show($('streams'), $('stream'), streams, key, fillStream)
    show($('recordings'), $('recording'), recordings, key, fillRecording)
    $('recorded').hidden = !recordings.length
    $('empty').hidden = streams.length > 0
    $('empty').querySelector('b').textContent = 'Nobody is live'
    $('empty').querySelector('p').textContent = 'As soon as somebody publishes, it is here.'
    const watching = streams.reduce((sum, stream) => sum + stream.viewers, 0)
    $('sum').textContent = streams.length ? viewers(watching) : ''
  } catch {
    $('sum').textContent = 'The server does not answer. Trying again.'
  }
  setTimeout(look, document.hidden ? 15000 : 3000)
}

look()
