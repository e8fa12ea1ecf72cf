
// What is known: the last events, the newest first and each once, and how often each type came.

const MOST_ROWS = 1000
// Types are whatever somebody sent.
const MOST_TYPES = 300
const SECONDS = 60
// How late an event is at first thought to be if it is not from the past, and how much later with
// each second in which none came quicker.
const LATE_MS = 5000, DRIFT_MS = 2000

class Store {
  rows = []
  // Come, but not shown yet.
  waiting = []
  // Those that came while nothing was shown.
  fresh = 0
  received = 0
  types = new Map()
  seconds = new Array(SECONDS).fill(0)
  held = new Map()
  // What came since the last second: how late, and of which type.
  arrived = []
  quickest = LATE_MS
  // What is older is left out.
  floor = -Infinity

  // Take a frame; false if it was here already.
  add(event) {
    event.key = event.topic + '/' + event._partition_ + '/' + event._offset_
    event.at = Number.isFinite(event.ts) ? event.ts : 0
    if (event.at < this.floor || this.held.has(event.key)) return false
    this.held.set(event.key, event)
    this.waiting.push(event)
    this.fresh++
    this.received++
    this.arrived.push({ late: Date.now() - event.at, type: this.type(event.type) })
    if (this.waiting.length > 2 * MOST_ROWS) this.drop(this.waiting.splice(0, MOST_ROWS))
    return true
  }

  type(name) {
    if (typeof name !== 'string') return
    let type = this.types.get(name)
    if (!type && this.types.size < MOST_TYPES) this.types.set(name, type = { name, now: 0, rate: 0, total: 0 })
    if (type) type.total++
    return type
  }

  // A second has passed. Clocks differ, but the event that came quickest tells by how much: what
  // came from the past counts where it belongs.
  tick() {
    this.seconds.push(0)
    this.seconds.shift()
    const least = this.arrived.reduce((least, { late }) => Math.min(least, late), Infinity)
    if (this.arrived.length) this.quickest = Math.min(least, this.quickest + DRIFT_MS)
    for (const { late, type } of this.arrived) {
      const ago = Math.floor((late - this.quickest) / 1000)
      if (ago < SECONDS) this.seconds[SECONDS - 1 - ago]++
      if (ago < 1 && type) type.now++
    }
    this.arrived = []
    for (const type of this.types.values()) {
      type.rate = type.rate < .05 && !type.now ? 0 : type.rate * .6 + type.now * .4
      type.now = 0
      if (this.types.size >= MOST_TYPES && !type.rate && type.total < 3) this.types.delete(type.name)
    }
  }

  // The mean of the last few seconds.
  rate() { return this.seconds.slice(-3).reduce((sum, n) => sum + n, 0) / 3 }

  // Let what waits in. What is to go is returned.
  merge() {
    const come = this.waiting.map((event, order) => ({ event, order }))
      .sort((a, b) => b.event.at - a.event.at || b.order - a.order)
    this.waiting = []
    this.fresh = 0
    const rows = []
    let old = 0
    for (const { event } of come) {
      while (old < this.rows.length && this.rows[old].at > event.at) rows.push(this.rows[old++])
      rows.push(event)
    }
    this.rows = rows.concat(this.rows.slice(old))
    const gone = this.rows.splice(MOST_ROWS)
    this.drop(gone)
    return gone
  }

  // Keep only what passes.
  keep(passes) {
    this.drop(this.waiting.filter(event => !passes(event)))
    this.waiting = this.waiting.filter(passes)
    const gone = this.rows.filter(event => !passes(event))
    this.drop(gone)
    this.rows = this.rows.filter(passes)
    return gone
  }

  drop(events) { for (const event of events) this.held.delete(event.key) }
}
