
// The connection: it comes back by itself, and knows when it is only seemingly there.

const FIRST_WAIT_MS = 500, MOST_WAIT_MS = 15_000
const ASK_MS = 25_000, ANSWER_MS = 10_000

class Wire {
  // `query()` says what to ask for, `hear(message)` gets what comes, `state(name, text)` is told how it is.
  constructor(query, hear, state) {
    Object.assign(this, { query, hear, state, tries: 0 })
    addEventListener('online', () => this.open())
    addEventListener('offline', () => this.state('lost', 'no network'))
    document.addEventListener('visibilitychange', () => { if (!document.hidden && !this.up()) this.open() })
    setInterval(() => this.ask(), ASK_MS)
  }

  up() { return this.socket?.readyState === WebSocket.OPEN }

  open() {
    clearTimeout(this.again)
    if (this.socket) { this.socket.onclose = this.socket.onmessage = null; this.socket.close() }
    clearTimeout(this.late)
    this.late = 0
    this.state('connecting', this.tries ? 'connecting again' : 'connecting')
    const scheme = location.protocol === 'https:' ? 'wss://' : 'ws://'
    const socket = this.socket = new WebSocket(scheme + location.host + '/kafidx/socket?' + this.query())
    let opened = 0
    socket.onopen = () => { opened = Date.now(); this.state('live', 'live') }
    socket.onmessage = message => {
      clearTimeout(this.late)
      this.late = 0
      this.hear(message.data)
    }
    socket.onclose = () => {
      if (Date.now() - opened > ASK_MS && opened) this.tries = 0
      if (!opened) this.session()
      this.wait()
    }
  }

  wait() {
    const wait = Math.min(MOST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.tries++) * (.75 + Math.random() / 2)
    this.state('lost', navigator.onLine ? 'lost, again in ' + Math.ceil(wait / 1000) + ' s' : 'no network')
    this.again = setTimeout(() => this.open(), wait)
  }

  // A socket that was refused does not say why. If it is the session, the page is the form to log in.
  async session() {
    try {
      if ((await fetch('/kafidx/session', { cache: 'no-store' })).status === 401) location.reload()
    } catch { /* There is no network, which shows already. */ }
  }

  // Nothing tells a page that the other end is gone, so ask for a sign of life.
  ask() {
    if (!this.send({}) || this.late) return
    this.late = setTimeout(() => { this.late = 0; this.socket.onclose = null; this.socket.close(); this.wait() }, ANSWER_MS)
  }

  send(message) {
    if (!this.up()) return false
    this.socket.send(JSON.stringify(message))
    return true
  }
}
