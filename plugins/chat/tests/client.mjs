// Talks to a running chat with the stock client of Phoenix and says of each thing whether it works.
//
//   npm install --prefix modules phoenix@1.8.16 ws@8.18.3
//   MODULES=modules JWT_SECRET=… node client.mjs http://127.0.0.1:8080
//
// JWT_SECRET is the chat's `jwt-secret`; without it, what takes a token is left out.

import { createHmac, randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

const [base = 'http://127.0.0.1:8080'] = process.argv.slice(2)
const { MODULES = '.', JWT_SECRET } = process.env
const require = createRequire(resolve(MODULES, 'package.json'))
const { Socket, Presence, LongPoll } = require('phoenix')
const WebSocket = require('ws')

const LOBBY = 'rooms:lobby', PATIENCE = 10_000
const run = randomBytes(3).toString('hex')
let failed = 0

async function check(what, work) {
  try {
    await work()
    console.log('ok   ' + what)
  } catch (error) {
    failed++
    console.log('FAIL ' + what + ': ' + (error.message || error))
  }
}

function within(promise, what) {
  let timer
  const late = new Promise((_, no) => { timer = setTimeout(() => no(new Error('no ' + what)), PATIENCE) })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

function assert(holds, what) {
  if (!holds) throw new Error(what)
}

function token(username, role) {
  const part = value => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = part({ alg: 'HS256', typ: 'JWT' }) + '.' + part({ username, role, exp: Math.floor(Date.now() / 1000) + 600 })
  return signed + '.' + createHmac('sha256', JWT_SECRET).update(signed).digest('base64url')
}

const TRANSPORTS = { websocket: WebSocket, longpoll: LongPoll }
const sockets = []

/// A client with a socket of its own. What it hears is kept, so that nothing is missed that came
/// before it was asked for.
class Client {
  constructor(transport, params = {}) {
    this.heard = []
    this.waiting = []
    this.closes = 0
    this.socket = new Socket(base.replace(/^http/, 'ws') + '/socket', { transport: TRANSPORTS[transport], params, longpollerTimeout: 20_000 })
    sockets.push(this.socket)
    this.opened = new Promise((yes, no) => { this.socket.onOpen(yes); this.socket.onError(no) })
    this.opened.catch(() => {})
    this.socket.onClose(() => this.closes++)
    this.socket.onMessage(({ topic, event, payload }) => {
      this.heard.push({ topic, event, payload })
      this.waiting = this.waiting.filter(look => !look())
    })
    this.socket.connect()
  }

  /// Wait for an event that fits.
  event(name, fits = () => true) {
    return within(new Promise(yes => {
      const look = () => {
        const found = this.heard.find(({ event, payload }) => event === name && fits(payload))
        if (found) yes(found.payload)
        return found
      }
      if (!look()) this.waiting.push(look)
    }), name)
  }

  join(topic = LOBBY) {
    const channel = this.socket.channel(topic)
    if (topic === LOBBY) {
      this.lobby = channel
      this.presence = new Presence(channel)
    }
    return within(answer(channel.join()), 'answer to the join')
  }

  ask(event, payload) {
    return within(answer(this.lobby.push(event, payload)), 'answer to ' + event)
  }

  /// The same for what is to be refused: the reason.
  async refusal(event, payload) {
    const response = await this.ask(event, payload).then(() => undefined, why => why)
    assert(response && response.reason, event + ' was not refused')
    return response.reason
  }

  /// Wait until the stock Presence has these names, whoever else is there.
  async sees(names, absent = []) {
    const until = Date.now() + PATIENCE
    for (;;) {
      const here = this.presence.list(key => key)
      if (names.every(name => here.includes(name)) && !absent.some(name => here.includes(name))) return
      assert(Date.now() < until, `${names} without ${absent} expected, there are ${here}`)
      await new Promise(yes => setTimeout(yes, 50))
    }
  }

  static async named(transport, name) {
    const client = new Client(transport)
    await client.join()
    await client.ask('authorize', { user: name })
    return client
  }

  static async member(transport, name, role) {
    const client = new Client(transport, { token: token(name, role) })
    await client.join()
    await client.ask('authorize_token', { user: name, token: token(name, role) })
    return client
  }
}

function answer(push) {
  return new Promise((yes, no) => {
    push.receive('ok', yes).receive('error', no).receive('timeout', () => no(new Error('timeout')))
  })
}

async function talk(transport) {
  const name = who => `${who}-${transport[0]}-${run}`
  const [ada, bob] = [new Client(transport), new Client(transport)]

  await check(`${transport}: connects`, () => within(ada.opened, 'connection'))
  await check(`${transport}: answers a heartbeat`, () => within(new Promise(yes => ada.socket.ping(yes)), 'heartbeat'))
  await check(`${transport}: lets everybody into the lobby, which tells what is there`, async () => {
    await Promise.all([ada.join(), bob.join()])
    await Promise.all(['join', 'presence_state', 'history'].map(event => ada.event(event)))
  })
  await check(`${transport}: lets nobody into other rooms`, async () => {
    const why = await ada.join('rooms:secret').then(() => ({}), why => why)
    assert(why.reason === 'unauthorized', JSON.stringify(why))
    ada.socket.channels.filter(({ topic }) => topic === 'rooms:secret').forEach(channel => channel.leave())
  })
  await check(`${transport}: has the topics metadata and notifications`, async () => {
    await ada.join('metadata')
    await ada.join('notifications')
  })
  await check(`${transport}: refuses a name of 31 characters`, async () => {
    assert(await ada.refusal('authorize', { user: 'x'.repeat(31) }) === 'bad_name', 'another reason')
    assert((await ada.event('notauthorized')).error, 'no error')
  })
  await check(`${transport}: gives a name, and tells others`, async () => {
    await ada.ask('authorize', { user: name('ada') })
    await ada.event('authorized', ({ user }) => user === name('ada'))
    await bob.event('user:authorized', ({ user }) => user === name('ada'))
    await bob.ask('authorize', { user: name('bob') })
    for (const client of [ada, bob]) await client.sees([name('ada'), name('bob')])
  })
  await check(`${transport}: gives a name to one only`, async () => {
    assert(await bob.refusal('authorize', { user: name('ADA') }) === 'name_taken', 'another reason')
    const reason = await bob.refusal('new:msg', { user: name('ada'), body: 'it is me' })
    assert(reason === 'name_mismatch', reason)
  })
  await check(`${transport}: hands messages on, once and in order`, async () => {
    for (const body of ['one', 'two']) {
      const said = await ada.ask('new:msg', { user: name('ada'), body, timestamp: Date.now() })
      assert(said.msg === body && said.id > 0, JSON.stringify(said))
    }
    const mine = ({ event, payload }) => event === 'new:msg' && payload.user === name('ada')
    for (const client of [ada, bob]) {
      await client.event('new:msg', ({ user, body }) => user === name('ada') && body === 'two')
      const bodies = client.heard.filter(mine).map(({ payload }) => payload.body)
      assert(bodies.join() === 'one,two', bodies.join())
    }
  })
  await check(`${transport}: keeps what was said`, async () => {
    const id = bob.heard.find(({ event, payload }) => event === 'new:msg' && payload.body === 'one' && payload.user === name('ada')).payload.id
    const page = await bob.ask('history', { after: id - 1 })
    const bodies = page.messages.filter(({ user }) => user === name('ada')).map(({ body }) => body)
    assert(bodies.join() === 'one,two', JSON.stringify(page))
    const late = new Client(transport)
    await late.join()
    await late.event('history', ({ messages }) => messages.some(message => message.id === id && message.body === 'one'))
    late.socket.disconnect()
  })
  await check(`${transport}: refuses a flood`, async () => {
    const bodies = Array.from({ length: 8 }, (_, n) => String(n))
    const answers = await Promise.all(bodies.map(body => bob.ask('new:msg', { user: name('bob'), body }).then(() => 'ok', why => why.reason)))
    assert(answers.includes('ok') && answers.includes('rate_limited'), answers.join())
  })
  await check(`${transport}: does not let a stranger ban`, async () => {
    assert(await bob.refusal('ban', { user: name('ada') }) === 'forbidden', 'another reason')
  })
  await check(`${transport}: tells who leaves the room`, async () => {
    ada.lobby.leave()
    await bob.event('user:left', ({ user }) => user === name('ada'))
    await bob.sees([name('bob')], [name('ada')])
  })
  await check(`${transport}: tells who goes away`, async () => {
    const carl = await Client.named(transport, name('carl'))
    await bob.sees([name('carl')])
    carl.socket.disconnect()
    // A poll is gone when nobody has polled for a while.
    if (transport === 'websocket') await bob.sees([], [name('carl')])
  })
  for (const client of [ada, bob]) client.socket.disconnect()
}

/// The status with which a new connection is refused; 101 when it is not.
function knock(params = '') {
  return within(new Promise((yes, no) => {
    const socket = new WebSocket(base.replace(/^http/, 'ws') + '/socket/websocket?vsn=2.0.0' + params)
    socket.on('open', () => { socket.terminate(); yes(101) })
    socket.on('unexpected-response', (request, { statusCode }) => { request.destroy(); yes(statusCode) })
    socket.on('error', no)
  }), 'answer')
}

async function poll() {
  const response = await fetch(base + '/socket/longpoll?vsn=2.0.0&token=null')
  return (await response.json()).status
}

async function moderate() {
  const name = who => `${who}-${run}`
  const boss = await Client.member('websocket', name('boss'), 'moderator')
  const victims = {}

  await check('token: proves a role', async () => {
    const { role } = await boss.event('authorized')
    assert(role === 'moderator', role)
    await boss.sees([name('boss')])
    const [meta] = boss.presence.state[name('boss')].metas
    assert(meta.role === 'moderator' && meta.verified, JSON.stringify(meta))
  })
  await check('token: is for one name, and the name is for it', async () => {
    const eve = new Client('websocket')
    await eve.join()
    assert(await eve.refusal('authorize_token', { user: name('eve'), token: token(name('other')) }) === 'bad_token', 'another reason')
    assert(await eve.refusal('authorize', { user: name('boss') }) === 'name_registered', 'another reason')
    eve.socket.disconnect()
  })
  await check('token: a message with it is verified', async () => {
    await boss.ask('new:msg_with_token', { user: name('boss'), body: 'order', token: token(name('boss'), 'moderator') })
    const { verified, role } = await boss.event('new:msg', ({ user }) => user === name('boss'))
    assert(verified && role === 'moderator', role)
  })
  await check('mute: is heard of and holds', async () => {
    victims.member = await Client.member('websocket', name('loud'), 'listener')
    await boss.ask('mute', { user: name('loud'), minutes: 5 })
    await victims.member.event('muted')
    assert(await victims.member.refusal('new:msg', { user: name('loud'), body: 'hey' }) === 'muted', 'another reason')
    await boss.ask('unmute', { user: name('loud') })
    await victims.member.ask('new:msg', { user: name('loud'), body: 'hey' })
    victims.member.socket.disconnect()
  })
  try {
    await check('ban: ends the connections of whom it falls on', async () => {
      for (const transport of Object.keys(TRANSPORTS)) victims[transport] = await Client.named(transport, name('eve-' + transport[0]))
      await boss.ask('ban', { user: name('eve-w'), reason: 'a test' })
      await boss.event('banned', ({ user }) => user === name('eve-w'))
      // Both come from one address.
      for (const transport of Object.keys(TRANSPORTS)) {
        const victim = victims[transport]
        // The client of a poll drops what it got last when the next answer is quicker than its timer.
        if (transport === 'websocket') await victim.event('banned')
        const until = Date.now() + PATIENCE
        while (!victim.closes) {
          assert(Date.now() < until, transport + ' goes on')
          await new Promise(yes => setTimeout(yes, 50))
        }
        victim.socket.disconnect()
      }
    })
    await check('ban: holds at the door', async () => {
      assert(await knock() === 403, 'a websocket was let in')
      assert(await poll() === 403, 'a poll was let in')
    })
    await check('ban: does not hold those who keep the order behind the same address', async () => {
      assert(await knock('&token=' + token(name('boss'), 'moderator')) === 101, 'not let in')
      await boss.ask('history', {})
    })
  } finally {
    await check('ban: is lifted', async () => {
      await boss.ask('unban', { user: name('eve-w') })
      assert(await knock() === 101, 'not let in')
      assert(await poll() === 410, 'not let in')
    })
  }
}

async function page() {
  const response = await fetch(base + '/chat')
  assert(response.status === 200, response.status)
  assert(response.headers.get('content-security-policy')?.includes("script-src 'sha256-"), 'no policy')
}

await check('page: is served with a policy', page)
for (const transport of Object.keys(TRANSPORTS)) await talk(transport)
if (JWT_SECRET) await check('tokens, mutes and bans', moderate)
else console.log('skip what takes a token: JWT_SECRET is not set')
sockets.forEach(socket => socket.disconnect())
console.log(failed ? `${failed} failed` : 'all is well')
process.exit(failed ? 1 : 0)
