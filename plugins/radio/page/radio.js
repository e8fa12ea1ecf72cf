'use strict'

// Shows what plays in each mount, asked for every few seconds, and plays one of them.

const EVERY = 3000
const AGAIN = 2000
// A name, not a place: nothing is loaded from it.
const SVG = 'http://www.w3.org/2000/svg'
const SHAPES = { play: 'M7 4v16l13-8z', pause: 'M6 5h4v14H6zM14 5h4v14h-4z' }

const at = (id) => document.getElementById(id)
const audio = at('audio')
const cards = new Map()
// The mount that is to be heard; null: none.
let wanted = null
// The one that is shown below, also while it pauses.
let chosen = null
let known = []
let retry = 0

function make(tag, className, text) {
  const made = document.createElement(tag)
  if (className) made.className = className
  if (text !== undefined) made.textContent = text
  return made
}

// Changed only where it differs, so that nobody's selection or reading aloud is lost.
function say(element, text) {
  if (element.textContent !== text) element.textContent = text
}

function show(button, shape, label) {
  if (button.dataset.shape !== shape) {
    const svg = document.createElementNS(SVG, 'svg')
    const path = document.createElementNS(SVG, 'path')
    svg.setAttribute('viewBox', '0 0 24 24')
    svg.setAttribute('aria-hidden', 'true')
    path.setAttribute('d', SHAPES[shape])
    svg.append(path)
    button.replaceChildren(svg)
    button.dataset.shape = shape
  }
  button.setAttribute('aria-label', label)
}

const url = (name) => '/radio/' + encodeURIComponent(name)
const stem = (name) => name.replace(/\.(mp3|aac|ogg|oga|opus)$/i, '')
const called = (mount) => mount.about.name || stem(mount.mount)
const two = (number) => String(number).padStart(2, '0')
const clock = (ms) => {
  const time = new Date(ms)
  return two(time.getHours()) + ':' + two(time.getMinutes())
}

function card(mount) {
  const box = make('article')
  const top = make('div', 'top')
  const button = make('button', 'play')
  button.type = 'button'
  button.addEventListener('click', () => choose(mount.mount))
  const names = make('div', 'names')
  const head = make('h2')
  const name = make('span')
  const badge = make('span', 'badge', 'LIVE')
  const about = make('p', 'about')
  head.append(name, badge)
  names.append(head, about)
  top.append(button, names)
  const now = make('p', 'now')
  const facts = make('p', 'facts')
  const listeners = make('span')
  const kind = make('span')
  facts.append(listeners, kind)
  for (const end of ['m3u', 'pls']) {
    const link = make('a', '', end)
    link.href = url(mount.mount + '.' + end)
    link.title = 'for your own player'
    facts.append(link)
  }
  const details = make('details')
  const list = make('ol')
  details.append(make('summary', '', 'Played before'), list)
  box.append(top, now, facts, details)
  at('mounts').append(box)
  return { box, button, name, badge, about, now, listeners, kind, details, list }
}

function paint(mount) {
  if (!cards.has(mount.mount)) cards.set(mount.mount, card(mount))
  const parts = cards.get(mount.mount)
  say(parts.name, called(mount))
  parts.badge.hidden = !mount.live
  say(parts.about, [mount.about.description, mount.about.genre].filter(Boolean).join(' · '))
  parts.about.hidden = !parts.about.textContent
  say(parts.now, mount.sounds ? mount.title : 'silent at the moment')
  parts.now.classList.toggle('silent', !mount.sounds)
  say(parts.listeners, mount.listeners === 1 ? '1 listener' : mount.listeners + ' listeners')
  const rate = mount.about.bitrate ? ' · ' + mount.about.bitrate + ' kbit/s' : ''
  say(parts.kind, mount.type.replace('audio/mpeg', 'MP3').replace('audio/', '').toUpperCase() + rate)
  const before = mount.sounds ? mount.history.slice(1) : mount.history
  parts.details.hidden = before.length === 0
  const lines = before.map(({ title, at_ms }) => clock(at_ms) + ' ' + title)
  if (parts.list.dataset.lines !== lines.join('\n')) {
    parts.list.dataset.lines = lines.join('\n')
    parts.list.replaceChildren(...before.map(({ title, at_ms }) => {
      const line = make('li')
      line.append(make('time', '', clock(at_ms)), make('span', '', title))
      return line
    }))
  }
  const on = wanted === mount.mount
  parts.box.classList.toggle('on', on)
  parts.button.disabled = !mount.sounds && !on
  show(parts.button, on ? 'pause' : 'play', (on ? 'Pause ' : 'Play ') + called(mount))
}

function paintAll() {
  const names = new Set(known.map((mount) => mount.mount))
  for (const [name, parts] of cards) {
    if (!names.has(name)) {
      parts.box.remove()
      cards.delete(name)
    }
  }
  known.forEach(paint)
  // Who is live comes first, silence last; moved only where that changes something.
  const rank = (mount) => (mount.live ? 0 : mount.sounds ? 1 : 2)
  const order = [...known].sort((one, other) => rank(one) - rank(other))
  const boxes = order.map((mount) => cards.get(mount.mount).box)
  if (boxes.some((box, place) => at('mounts').children[place] !== box)) at('mounts').append(...boxes)
  at('empty').hidden = known.length > 0
  const mount = known.find((mount) => mount.mount === chosen)
  at('player').hidden = !mount
  if (!mount) return
  show(at('toggle'), wanted ? 'pause' : 'play', wanted ? 'Pause' : 'Play')
  say(at('title'), mount.sounds ? mount.title : 'silent at the moment')
  const waiting = wanted && audio.dataset.state !== 'playing'
  say(at('where'), called(mount) + (waiting ? ' · connecting …' : ''))
  document.title = wanted && mount.sounds ? mount.title + ' · Radio' : 'Radio'
  if ('mediaSession' in navigator && wanted) {
    navigator.mediaSession.metadata = new MediaMetadata({ title: mount.title, artist: called(mount) })
  }
}

function stop() {
  clearTimeout(retry)
  audio.dataset.state = ''
  // Only without a source does it stop to load.
  audio.removeAttribute('src')
  audio.load()
}

function play() {
  stop()
  audio.src = url(wanted)
  audio.play().catch((error) => {
    if (error.name === 'NotAllowedError') {
      wanted = null
      paintAll()
    }
  })
}

function choose(name) {
  wanted = wanted === name ? null : name
  chosen = name
  if (wanted) play()
  else stop()
  paintAll()
}

// A radio has no end: what ends or fails is asked for again.
function again() {
  if (!wanted || !audio.hasAttribute('src')) return
  audio.dataset.state = ''
  clearTimeout(retry)
  retry = setTimeout(() => wanted && play(), AGAIN)
  paintAll()
}

async function ask() {
  const state = at('state')
  try {
    const answer = await fetch('/radio/status', { cache: 'no-store' })
    if (!answer.ok) throw new Error('the radio answers ' + answer.status)
    known = (await answer.json()).mounts
    const all = known.reduce((sum, mount) => sum + mount.listeners, 0)
    say(state, known.length ? (all === 1 ? '1 listener' : all + ' listeners') + ' now' : '')
    state.classList.remove('bad')
    paintAll()
  } catch (error) {
    say(state, 'no answer, trying again')
    state.classList.add('bad')
  }
  setTimeout(ask, document.hidden ? EVERY * 5 : EVERY)
}

audio.addEventListener('playing', () => {
  audio.dataset.state = 'playing'
  paintAll()
})
audio.addEventListener('waiting', () => {
  audio.dataset.state = ''
  paintAll()
})
audio.addEventListener('error', again)
audio.addEventListener('ended', again)
at('toggle').addEventListener('click', () => choose(chosen))
at('volume').addEventListener('input', () => {
  audio.volume = at('volume').value / 100
  localStorage.setItem('radio-volume', at('volume').value)
})
at('volume').value = localStorage.getItem('radio-volume') || '80'
audio.volume = at('volume').value / 100
if ('mediaSession' in navigator) {
  navigator.mediaSession.setActionHandler('pause', () => wanted && choose(wanted))
  navigator.mediaSession.setActionHandler('play', () => chosen && !wanted && choose(chosen))
}
ask()
