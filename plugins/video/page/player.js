
// Plays a live stream: fetches its segments as they come and hands them to the browser. It stays
// less than two segments behind the newest, and comes back by itself after whatever happens.

/** How many segments it fetches to begin with, and how many it stays behind the end of the newest. */
const FIRST = 2
const BEHIND = 1.5
/** How many seconds that were played are kept. */
const KEPT = 30

const wait = ms => new Promise(done => setTimeout(done, ms))
const heard = (target, name) => new Promise(done => target.addEventListener(name, done, {once: true}))

class Player {
  /** `tell` is told of `offline`, `loading`, `playing`, `ended`, `lost` and `unable`. */
  constructor(video, address, tell) {
    Object.assign(this, {video, address, tell, target: 2, newest: 0})
    this.reset()
  }

  reset() {
    Object.assign(this, {stream: null, next: null, map: '', rates: null, offset: 0, buffer: null})
    if (this.url) URL.revokeObjectURL(this.url)
    this.url = null
  }

  /** Play for ever. */
  async run() {
    for (;;) {
      try {
        await this.turn()
      } catch (error) {
        if (error.away) {
          // What was fetched plays on meanwhile.
          if (!this.left()) this.tell('lost')
          await wait(1000)
          continue
        }
        // A decoder that failed, or an answer that nobody expected: from the beginning.
        this.tell(error.offline ? 'offline' : 'lost', error.message)
        this.reset()
        await wait(error.offline ? 3000 : 2000)
      }
    }
  }

  async fetch(address) {
    const answer = await fetch(address, {cache: 'no-store'}).catch(() => null)
    if (answer?.status === 404) throw Object.assign(new Error('not live'), {offline: true})
    if (!answer?.ok) throw Object.assign(new Error('no answer'), {away: true})
    return answer
  }

  /** One look at the playlist, and what follows from it. */
  async turn() {
    if (!this.stream) this.stream = readMultivariant(await (await this.fetch(this.address)).text(), this.address)
    const list = readMedia(await (await this.fetch(this.stream.media)).text(), this.stream.media)
    this.target = list.target
    const last = list.segments.at(-1)
    if (!last) return wait(1000)
    // Nobody watches: what comes meanwhile is left out.
    if (this.video.dataset.paused && this.left() > KEPT) return wait(1000)
    const fresh = list.segments.filter(segment => segment.number >= this.next)
    const missed = this.next !== null && list.segments[0].number > this.next
    // A list that counts lower than before is another one.
    const restarted = this.next !== null && last.number + 1 < this.next
    const starts = this.next === null || missed || restarted
    const newest = list.segments.slice(-FIRST).filter(segment => segment.map === last.map)
    const coming = starts ? newest : fresh
    for (const segment of coming) {
      await this.append(segment)
      this.next = segment.number + 1
      this.newest = segment.at + segment.duration * 1000
    }
    if (starts && coming.length) this.edge()
    this.steer()
    if (list.ended) {
      if (!this.left()) this.tell('ended')
      return wait(3000)
    }
    this.tell(this.left() || coming.length ? 'playing' : 'loading')
    return wait(Math.min(1000, 1000 * this.target / 2))
  }

  async append(segment) {
    const bytes = (await (await this.fetch(segment.address)).arrayBuffer())
    if (segment.map !== this.map) await this.begin(segment, bytes)
    await this.feed(bytes)
    const {buffered, currentTime} = this.video
    if (buffered.length && buffered.start(0) < currentTime - 2 * KEPT) {
      this.buffer.remove(0, currentTime - KEPT)
      await heard(this.buffer, 'updateend')
    }
  }

  /** Begin a part: other codecs, or other times. What follows is put behind what there is. */
  async begin(segment, bytes) {
    const init = await (await this.fetch(segment.map)).arrayBuffer()
    // The codecs of a part that came later are in the first playlist; this viewer stays who it is.
    const {type} = this.map ? readMultivariant(await (await this.fetch(this.address)).text(), this.address) : this.stream
    if (!this.buffer) await this.open(type)
    else this.buffer.changeType(type)
    this.rates = scales(init)
    const {buffered} = this.buffer
    const end = buffered.length ? buffered.end(buffered.length - 1) : 0
    this.buffer.timestampOffset = end - begins(bytes, this.rates)
    await this.feed(init)
    this.map = segment.map
  }

  async open(type) {
    if (!MediaSource.isTypeSupported(type)) {
      this.tell('unable', type)
      throw new Error('this browser cannot play it')
    }
    const source = new MediaSource()
    this.url = URL.createObjectURL(source)
    this.video.src = this.url
    await heard(source, 'sourceopen')
    this.buffer = source.addSourceBuffer(type)
    this.buffer.mode = 'segments'
  }

  async feed(bytes) {
    if (this.video.error) throw new Error(this.video.error.message || 'the browser cannot decode it')
    this.buffer.appendBuffer(bytes)
    await heard(this.buffer, 'updateend')
  }

  /** Seconds that are there and were not played. */
  left() {
    const {buffered, currentTime} = this.video
    return buffered.length ? Math.max(0, buffered.end(buffered.length - 1) - currentTime - 0.1) : 0
  }

  /** Over gaps, and not too far behind. */
  steer() {
    const {video} = this
    const {buffered, currentTime} = video
    if (!buffered.length) return
    const end = buffered.end(buffered.length - 1)
    for (let at = 0; at < buffered.length; at += 1) {
      const start = buffered.start(at)
      const near = currentTime >= start - 0.05 && currentTime < buffered.end(at) - 0.05
      if (near && currentTime >= start) break
      if (start > currentTime) { video.currentTime = start + 0.01; break }
    }
    const behind = end - video.currentTime
    if (video.paused && video.dataset.paused) return
    if (behind > (BEHIND + 3) * this.target) this.edge()
    // A little faster where it fell behind, which nobody hears.
    video.playbackRate = behind > (BEHIND + 1.2) * this.target ? 1.06 : 1
    if (video.paused) video.play().catch(() => {})
  }

  /** Go to the newest moment that plays without waiting. */
  edge() {
    const {buffered} = this.video
    if (!buffered.length) return
    const last = buffered.length - 1
    this.video.currentTime = Math.max(buffered.start(last), buffered.end(last) - BEHIND * this.target)
  }

  /** Seconds from the camera to here, as far as both clocks go alike. */
  delay() {
    if (!this.newest || !this.buffer) return null
    return (Date.now() - this.newest) / 1000 + this.left()
  }
}
