
// The page.

const at = id => document.getElementById(id)
const store = new Store()
const rows = at('rows'), detail = at('detail'), template = at('row').content.firstElementChild
const MOST_CHIPS = 40, MOST_PAIRS = 12, A_FRAME = 60
// After so long in a pause nothing is sent any more.
const REST_MS = 60_000
const asked = new URLSearchParams(location.search)
const filter = new Set(asked.getAll('filter').join(',').split(',').map(s => s.trim()).filter(Boolean))
let beginning = asked.get('from') === 'beginning'
let complete = true, paused = false, resting = false, first = true, drawn = 0, needle = '', opened = null, restTimer = 0

const wire = new Wire(query, hear, state)

function query() {
  // Coming back, ask for what may have been missed; what is here already is left out.
  const from = beginning ? 'beginning' : first ? 'now' : MOST_ROWS
  const wanted = new URLSearchParams({ from })
  if (filter.size) wanted.set('filter', [...filter].join(','))
  resting = false
  return wanted
}

function state(is, text) {
  if (is === 'live' && paused) { is = 'paused'; text = 'paused' }
  at('state').dataset.is = is
  if (at('state').lastChild.textContent !== text) at('state').lastChild.textContent = text
}

function hear(text) {
  let event
  try { event = JSON.parse(text) } catch { return }
  if (event === null || typeof event !== 'object') return
  if (event.error) return complain(event.error)
  if (event._offset_ === undefined || filter.size && !filter.has(event.type)) return
  if (first && !beginning) store.floor = event.ts - 2000
  first = false
  if (store.add(event)) later()
}

function complain(error) {
  state('lost', error)
  setTimeout(() => { if (wire.up()) state('live', 'live') }, 5000)
}

// Everything that is drawn is drawn once a frame, however much comes.
function later() { drawn ||= requestAnimationFrame(draw) }

// Nothing moves in a pause, while somebody reads further down, or walks along the rows.
const holding = () => paused || rows.scrollTop > 60 || document.activeElement.matches('.row:focus-visible')

function draw() {
  drawn = 0
  if (holding()) { if (!complete) place(Infinity) }
  else if (store.waiting.length) show()
  badge()
}

function show() {
  for (const event of store.merge()) { event.li?.remove(); event.li = null }
  rows.classList.toggle('slow', store.rate() < 20)
  place(A_FRAME)
  rows.scrollTop = 0
  if (!rows.querySelector('[tabindex="0"]')) rows.firstElementChild?.firstElementChild.setAttribute('tabindex', 0)
  emptiness()
}

// Make the rows that are missing, from the top. In a flood only those that can be seen are made:
// the others are gone before anybody looks, unless it is held.
function place(room) {
  let next = rows.firstChild
  complete = true
  for (const event of store.rows) {
    if (event.li) { next = event.li.nextSibling; continue }
    if (room <= 0 || needle && room < Infinity && !found(event)) { complete = false; continue }
    room--
    rows.insertBefore(row(event), next)
  }
}

function badge() {
  const n = store.fresh
  const text = n && holding() ? n.toLocaleString() + (resting ? '+' : '') + ' new' : ''
  at('new').hidden = !text
  if (text) at('new').textContent = (paused ? '' : '↑ ') + text
}

function row(event) {
  const li = template.cloneNode(true)
  const [time, type, place, browser, params] = li.firstElementChild.children
  const date = new Date(event.at), two = n => String(n).padStart(2, '0')
  time.textContent = two(date.getHours()) + ':' + two(date.getMinutes()) + ':' + two(date.getSeconds())
  time.append(make('small', '.' + String(date.getMilliseconds()).padStart(3, '0')))
  paint(type, event.type)
  const known = [event.city, event.country].filter(name => typeof name === 'string' && name && name !== 'XX')
  fill(place, known.join(', '))
  fill(browser, [event.browser, event.os].filter(name => typeof name === 'string' && name && name !== 'unknown').join(', '))
  pairs(params, event)
  event.li = li
  li.event = event
  li.hidden = !found(event)
  return li
}

function fill(cell, text) {
  cell.textContent = text || '–'
  cell.classList.toggle('none', !text)
}

function pairs(cell, event) {
  if (typeof event.type !== 'string') return cell.textContent = String(event._msgvalue_ ?? 'nothing').slice(0, 300)
  let left = MOST_PAIRS
  for (const [name, value] of new URLSearchParams(String(event.params ?? '').slice(0, 1000))) {
    if (left-- === 0) break
    cell.append(make('i', name + '='), value.slice(0, 200) + '  ')
  }
}

function make(tag, text, kind) {
  const element = document.createElement(tag)
  element.textContent = text
  if (kind) element.className = kind
  return element
}

// A type has the same colour on every page, unless one that came before has it.
const HUES = 18
const hues = new Map()

function hue(type) {
  let hash = 2166136261
  for (const char of type) hash = Math.imul(hash ^ char.codePointAt(0), 16777619)
  let slot = ((hash ^ hash >>> 15) >>> 0) % HUES
  if (hues.has(type)) return hues.get(type)
  if (hues.size < HUES) {
    while ([...hues.values()].includes(slot * 360 / HUES)) slot = (slot + 5) % HUES
    hues.set(type, slot * 360 / HUES)
  }
  return slot * 360 / HUES
}

function paint(element, type) {
  element.style.setProperty('--hue', hue(String(type)))
  if (!element.classList.contains('type')) return
  element.textContent = typeof type === 'string' ? type || 'empty' : 'no event'
  element.classList.toggle('none', typeof type !== 'string' || !type)
}

// Search.

function found(event) {
  if (!needle) return true
  event.text ??= Object.entries(event).map(([name, value]) =>
    name === 'li' || name === 'text' ? '' : name + '=' + (typeof value === 'object' ? '' : value)).join(' ').toLowerCase()
  return event.text.includes(needle)
}

at('search').addEventListener('input', () => {
  needle = at('search').value.trim().toLowerCase()
  place(Infinity)
  for (const event of store.rows) event.li.hidden = !found(event)
  emptiness()
})

// What to say where there is nothing to show.
function emptiness() {
  const passing = needle ? store.rows.filter(found).length : store.rows.length
  at('empty').hidden = passing > 0
  const [big, hint, code] = at('empty').children
  const types = [...filter].join(', ')
  big.textContent = needle && store.rows.length ? 'None of these events has “' + needle + '”' : filter.size ? 'Waiting for ' + types : 'Waiting for events'
  hint.textContent = needle ? 'The search is among the last ' + MOST_ROWS.toLocaleString() + ' events.' : 'Send one:'
  const [example = 'hello'] = [...filter].filter(type => /^[\w.-]+$/.test(type))
  code.textContent = needle ? '' : "curl '" + location.origin + '/t/' + example + "?from=me'"
  at('sum').textContent = passing.toLocaleString() + ' shown, ' + store.received.toLocaleString() + ' received'
}

// Types.

const chips = new Map()

function chip(name) {
  const button = document.createElement('button')
  if (name !== null) { button.append(document.createElement('i')); paint(button, name) }
  button.append(make('span', name === null ? 'All' : name || 'empty'), document.createElement('b'))
  button.title = name === null ? 'Every type' : name
  button.addEventListener('click', () => choose(name))
  at('chips').append(button)
  chips.set(name, button)
  return button
}

const short = n => n >= 10_000 ? Math.round(n / 1000) + 'k' : n >= 9.95 ? Math.round(n).toLocaleString() : n ? n.toFixed(1) : '0'

function mark() {
  const known = [...store.types.values()].sort((a, b) => b.total - a.total).slice(0, MOST_CHIPS)
  for (const name of [...filter, ...known.map(type => type.name)]) chips.get(name) ?? chip(name)
  for (const [name, button] of chips) {
    const heard = name === null || !filter.size || filter.has(name)
    const rate = name === null ? store.rate() : store.types.get(name)?.rate ?? 0
    const text = heard && !(name === null && filter.size) ? short(rate) : '–'
    if (button.lastChild.textContent !== text) button.lastChild.textContent = text
    button.setAttribute('aria-pressed', name === null ? !filter.size : filter.has(name))
    if (chips.size > 2 * MOST_CHIPS && name !== null && !filter.has(name) && !known.some(type => type.name === name)) {
      button.remove()
      chips.delete(name)
    }
  }
}

function choose(name) {
  if (name === null) filter.clear()
  else filter.delete(name) || filter.add(name)
  remember()
  for (const event of store.keep(event => !filter.size || filter.has(event.type))) event.li?.remove()
  // Where the past is wanted, that of the types which were not heard is too.
  wire.send({ filter: [...filter], from: beginning ? MOST_ROWS : 'now' })
  mark()
  emptiness()
  badge()
}

function remember() {
  const kept = new URLSearchParams(location.search)
  filter.size ? kept.set('filter', [...filter].join(',')) : kept.delete('filter')
  beginning ? kept.set('from', 'beginning') : kept.delete('from')
  history.replaceState(null, '', location.pathname + (kept.size ? '?' + kept : ''))
}

// Pausing. What comes meanwhile waits here; after a while the host is asked to send nothing.

function pause(on) {
  paused = on
  at('pause').setAttribute('aria-pressed', on)
  at('pause').firstChild.textContent = on ? 'Resume' : 'Pause'
  clearTimeout(restTimer)
  if (on) restTimer = setTimeout(rest, REST_MS)
  else if (resting) { resting = false; wire.send({ pause: false, from: MOST_ROWS }) }
  if (wire.up()) state('live', 'live')
  if (!on) rows.scrollTop = 0
  later()
}

function rest() { resting = wire.send({ pause: true }); badge() }

at('pause').addEventListener('click', () => pause(!paused))
at('new').addEventListener('click', () => { at('new').blur(); pause(false) })
rows.addEventListener('focusout', later)
rows.addEventListener('scroll', later, { passive: true })

for (const id of ['now', 'beginning']) at(id).addEventListener('click', () => {
  beginning = id === 'beginning'
  // The past makes room for what is from now on.
  for (const event of store.keep(() => beginning)) event.li?.remove()
  first = true
  store.floor = -Infinity
  remember()
  begin()
  emptiness()
  wire.open()
})

function begin() {
  at('now').setAttribute('aria-pressed', !beginning)
  at('beginning').setAttribute('aria-pressed', beginning)
}

// One event.

function open(li) {
  const event = li.event
  close(false)
  opened = li
  li.firstElementChild.setAttribute('aria-expanded', true)
  detail.hidden = false
  paint(detail.querySelector('.type'), event.type)
  const date = new Date(event.at)
  detail.querySelector('time').textContent = date.toLocaleDateString() + ' ' + date.toLocaleTimeString()
  const { key, at: _, li: __, text: ___, _msgvalue_, ...flat } = event
  const pre = detail.querySelector('pre')
  pre.replaceChildren(...pretty(flat, ''), make('span', 'The record as it is stored', 'h'))
  try { pre.append(...pretty(JSON.parse(_msgvalue_), '')) } catch { pre.append(String(_msgvalue_)) }
  pre.scrollTop = 0
}

function close(back = true) {
  if (!opened) return
  opened.firstElementChild.setAttribute('aria-expanded', false)
  detail.hidden = true
  if (back) (opened.isConnected ? opened.firstElementChild : at('pause')).focus()
  opened = null
}

// JSON with colours, as pieces of text.
function pretty(value, indent) {
  if (value === null || typeof value !== 'object')
    return [make('span', JSON.stringify(value) ?? 'null', typeof value === 'string' ? 's' : 'n')]
  const list = Array.isArray(value), entries = Object.entries(value), deeper = indent + '  '
  if (!entries.length) return [list ? '[]' : '{}']
  // What nobody reads is not worth a thousand elements, nor a stack that overflows.
  if (indent.length > 24 || entries.length > 500) return [JSON.stringify(value)]
  const pieces = [list ? '[' : '{']
  entries.forEach(([name, member], n) => {
    pieces.push((n ? ',' : '') + '\n' + deeper)
    if (!list) pieces.push(make('span', JSON.stringify(name), 'k'), ': ')
    pieces.push(...pretty(member, deeper))
  })
  return [...pieces, '\n' + indent + (list ? ']' : '}')]
}

rows.addEventListener('click', event => {
  const li = event.target.closest('li')
  if (li) { walk(li); open(li) }
})
at('close').addEventListener('click', () => close())
at('copy').addEventListener('click', async () => {
  const { key, at: _, li, text, ...event } = opened.event
  try { await navigator.clipboard.writeText(JSON.stringify(event, null, 2)); at('copy').textContent = 'Copied' }
  catch { getSelection().selectAllChildren(detail.querySelector('pre')); at('copy').textContent = 'Selected' }
  setTimeout(() => at('copy').textContent = 'Copy', 1500)
})

// Keys. One row can be reached with Tab, the others from there.

function walk(li) {
  rows.querySelector('[tabindex="0"]')?.setAttribute('tabindex', -1)
  li.firstElementChild.setAttribute('tabindex', 0)
  li.firstElementChild.focus({ preventScroll: false })
}

function step(by) {
  let li = document.activeElement?.closest?.('#rows li') ?? (opened?.isConnected ? opened : null)
  do li = li ? (by > 0 ? li.nextElementSibling : li.previousElementSibling) : rows.firstElementChild
  while (li?.hidden)
  if (!li) return
  walk(li)
  if (opened) open(li)
}

addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return
  const typing = event.target.matches('input')
  const elsewhere = event.target.matches('button:not(.row), pre')
  if (event.key === 'Escape') {
    if (typing && at('search').value) { at('search').value = ''; at('search').dispatchEvent(new Event('input')) }
    else if (typing) at('search').blur()
    else if (opened) close()
    else document.activeElement.blur()
  } else if (typing) return
  else if (event.key === '/') at('search').focus()
  else if (event.key === ' ' && !elsewhere) pause(!paused)
  else if ((event.key === 'ArrowDown' || event.key === 'j') && !event.target.matches('pre')) step(1)
  else if ((event.key === 'ArrowUp' || event.key === 'k') && !event.target.matches('pre')) step(-1)
  else return
  event.preventDefault()
})
// A button is pressed when the key comes up again; a row is not what the space bar is for.
addEventListener('keyup', event => { if (event.key === ' ' && event.target.matches('.row')) event.preventDefault() })

at('theme').addEventListener('click', () => {
  const root = document.documentElement, dark = matchMedia('(prefers-color-scheme: dark)').matches
  root.dataset.theme = (root.dataset.theme ?? (dark ? 'dark' : 'light')) === 'dark' ? 'light' : 'dark'
  try { localStorage.setItem('theme', root.dataset.theme) } catch { /* Then it is for this time only. */ }
})
try { const theme = localStorage.getItem('theme'); if (theme) document.documentElement.dataset.theme = theme } catch { /* As the system has it. */ }

// Once a second: how much comes.

function spark() {
  const seconds = store.seconds, most = Math.max(4, ...seconds)
  const points = seconds.map((n, x) => (x * 120 / (seconds.length - 1)).toFixed(1) + ' ' + (31 - 29 * n / most).toFixed(1))
  at('spark').lastElementChild.setAttribute('d', 'M' + points.join('L'))
  at('spark').firstElementChild.setAttribute('d', 'M0 32L' + points.join('L') + 'L120 32Z')
  at('rate').textContent = short(store.rate())
}

setInterval(() => {
  store.tick()
  mark()
  emptiness()
  // What a flood left out is made when there is time for it.
  if (!complete && store.rate() < 500) place(Infinity)
  if (!document.hidden) spark()
}, 1000)

chip(null)
begin()
mark()
emptiness()
wire.open()
