
// The page around the player.

const $ = id => document.getElementById(id)
const {app, name} = document.body.dataset
const address = new URL(`/video/${app}/${name}.m3u8`, location.href).href
const [video, stage, curtain, big] = ['video', 'stage', 'curtain', 'big'].map($)
const ICONS = {
  play: 'M8 5v14l11-7z',
  pause: 'M6 5h4v14H6zm8 0h4v14h-4z',
  muted: 'M4 9v6h4l5 5V4L8 9zm12.6 3 2.7-2.7-1.1-1.1-2.7 2.7-2.7-2.7-1 1.1 2.6 2.7-2.6 2.7 1 1.1 2.7-2.7 2.7 2.7 1.1-1.1z',
  loud: 'M4 9v6h4l5 5V4L8 9zm12.5 3A4.5 4.5 0 0 0 14 8v8a4.5 4.5 0 0 0 2.5-4zM14 3.2v2.1a7 7 0 0 1 0 13.4v2.1a9 9 0 0 0 0-17.6z',
}
const SAY = {
  loading: ['One moment', 'The next pictures are on their way.', true],
  away: ['Interrupted', 'The stream broke off a moment ago. It goes on here by itself.', true],
  offline: ['Not live', 'It begins here by itself as soon as somebody publishes.', false],
  ended: ['The stream has ended', 'If it comes back, it goes on here by itself.', false],
  lost: ['The connection was lost', 'Trying again.', true],
  unable: ['This browser cannot play it', 'Open the address below in another player.', false],
}
let state = 'loading'
let silenced = true

$('address').textContent = address

/** Show how it is; a picture that still moves is covered by nothing. */
function tell(is, why) {
  if (state === 'unable' && is === 'lost') return
  state = is
  const moves = is === 'playing' && video.readyState >= 2
  curtain.hidden = moves
  const waits = $('state').dataset.is === 'away' ? 'away' : 'loading'
  const [title, text, spins] = SAY[is === 'playing' || is === 'loading' ? waits : is]
  curtain.querySelector('b').textContent = title
  curtain.querySelector('p').textContent = is === 'unable' ? `${why}. ${text}` : text
  curtain.querySelector('.spin').hidden = !spins
  curtain.dataset.over = video.readyState >= 2 && is !== 'offline' ? 'picture' : ''
  stage.classList.toggle('sound', moves && !video.videoWidth)
  invite(moves)
}

/** A large button for what a browser wants a hand for. */
function invite(moves) {
  const stopped = moves && video.paused && !video.dataset.paused
  big.hidden = !stopped && !(moves && silenced && video.muted)
  big.textContent = stopped ? 'Tap to play' : 'Tap for sound'
}

function draw() {
  const icon = (id, path, label) => {
    $(id).querySelector('path').setAttribute('d', path)
    $(id).setAttribute('aria-label', label)
  }
  icon('play', video.paused ? ICONS.play : ICONS.pause, video.paused ? 'Play' : 'Pause')
  icon('mute', video.muted ? ICONS.muted : ICONS.loud, video.muted ? 'Unmute' : 'Mute')
  $('volume').value = video.muted ? 0 : video.volume
}

function mute(muted) {
  video.muted = muted
  silenced = false
  if (!muted && video.volume === 0) video.volume = 1
  invite(curtain.hidden)
}

function toggle() {
  if (video.paused) {
    delete video.dataset.paused
    if (player) player.edge()
    video.play().catch(() => {})
  } else {
    video.dataset.paused = 'yes'
    video.pause()
  }
}

function fill() {
  if (document.fullscreenElement) document.exitFullscreen()
  else if (stage.requestFullscreen) stage.requestFullscreen().catch(() => {})
  else if (video.webkitEnterFullscreen) video.webkitEnterFullscreen()
}

big.onclick = () => {
  mute(false)
  if (video.paused) toggle()
}
$('play').onclick = toggle
$('mute').onclick = () => mute(!video.muted)
$('full').onclick = fill
$('edge').onclick = () => { if (player) player.edge(); if (video.paused) toggle() }
$('volume').oninput = event => {
  video.volume = event.target.value
  mute(video.volume === 0)
}
for (const name of ['play', 'pause', 'volumechange']) video.addEventListener(name, draw)
video.addEventListener('playing', () => { if (state === 'playing' || !player) tell('playing') })
stage.addEventListener('click', event => {
  if (event.target !== video) return
  stage.classList.toggle('touched')
})
stage.addEventListener('dblclick', event => { if (event.target === video) fill() })
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest('button, input, a')) return
  const act = {' ': toggle, k: toggle, m: () => mute(!video.muted), f: fill}[event.key]
  if (!act) return
  event.preventDefault()
  act()
})

/** What the server says of the stream. */
async function look() {
  try {
    const {streams} = await status()
    const stream = streams.find(one => one.app === app && one.name === name)
    const is = stream ? stream.state : 'offline'
    $('state').dataset.is = is
    $('state').querySelector('span').textContent = STATES[is]
    $('count').textContent = stream ? viewers(stream.viewers) : ''
    $('quality').textContent = stream ? picture(stream) : ''
  } catch {
    $('state').querySelector('span').textContent = 'NO CONNECTION'
  }
  setTimeout(look, document.hidden ? 15000 : 4000)
}

/** Browsers without Media Source Extensions, such as those of iPhones, play HLS by themselves. */
async function playNatively() {
  video.addEventListener('ended', () => tell('ended'))
  video.addEventListener('waiting', () => tell('loading'))
  for (;;) {
    const there = await fetch(address, {cache: 'no-store'}).then(answer => answer.ok, () => null)
    const playing = video.src && !video.ended && !video.error
    if (!there) tell(there === null ? 'lost' : 'offline')
    else if (!playing) {
      video.src = address
      video.play().catch(() => tell('playing'))
    }
    await wait(5000)
  }
}

const player = window.MediaSource ? new Player(video, address, tell) : null
draw()
look()
if (player) player.run()
else playNatively()
setInterval(() => {
  const delay = player && !video.paused && state === 'playing' ? player.delay() : null
  $('delay').textContent = delay !== null && delay > 0 && delay < 60 ? `${delay.toFixed(0)} s behind` : ''
  $('edge').hidden = !(player && player.left() > 3 * player.target)
}, 1000)
