-- What every script begins with: the time, the queues it touches, and what it says about them in the end.
--
-- KEYS[1] is the prefix of every key, with the hash tag that keeps a whole store on one node. ARGV[1] is store time as
-- the gateway knows it, ARGV[2] the wall clock, which is only shown, ARGV[3] how many calls follow: each is the number of
-- its arguments and these. A script defines run(ARGV, first, last), which carries out one call; finish.lua calls it. Redis runs
-- a script whole, so what one changes is one change to everybody else, and one transaction in the append-only file.
--
-- A queue has: `stream`, the entries that are ready or were received; `parked`, a stream of those that must not be
-- received yet (delayed, or behind another of their group); `flight` and `late`, sorted sets of when an
-- entry in flight is ready again and when a delay is over; `state`, what is known of each received entry; `heads`,
-- the groups that have a member outside their list of parked ones. A position is a stream id, with a `p` before it
-- for one in `parked`.
local P, now, wall = KEYS[1], tonumber(ARGV[1]), ARGV[2]
local call, PAGE_SIZE_MAX = redis.call, 16777216

local seen = tonumber(call('GET', P .. 'now') or 0)
if seen > now then
    now = seen
elseif now > seen then
    call('SET', P .. 'now', now)
end

local queues = {}

local function queue(name)
    local q = queues[name]
    if q then return q end
    local s = call('HMGET', P .. 'settings:' .. name, 'dead_letter', 'retention_ms', 'dedup_window_ms',
        'message_size_bytes', 'stream', 'group')
    q = {
        name = name,
        dead_letter = s[1],
        retention = tonumber(s[2] or 0),
        dedup_window = tonumber(s[3] or 300000),
        size_limit = tonumber(s[4] or 262144),
        shared = s[5],
        stream = s[5] or P .. 'stream:' .. name,
        group = s[6] or 'execgate',
        parked = P .. 'parked:' .. name,
        flight = P .. 'flight:' .. name,
        late = P .. 'late:' .. name,
        state = P .. 'state:' .. name,
        heads = P .. 'heads:' .. name,
        expiry = P .. 'expiry:' .. name,
        counts = {},
    }
    if q.shared then
        local kind = call('TYPE', q.stream).ok
        if kind ~= 'none' and kind ~= 'stream' then
            error('WRONGTYPE the key ' .. q.stream .. ' of queue ' .. name .. ' is a ' .. kind)
        end
    end
    queues[name] = q
    return q
end

local function count(q, counter, n)
    q.counts[counter] = (q.counts[counter] or 0) + n
end

-- How soon what the running call changes can be received; negative: nothing.
local soon = -1
local function ready_in(ms)
    if soon < 0 or ms < soon then soon = ms end
end

-- Counters are written once.
local function tell()
    for name, q in pairs(queues) do
        for counter, n in pairs(q.counts) do
            if call('HINCRBY', P .. 'stats:' .. name, counter, n) == n then call('SADD', P .. 'queues', name) end
        end
        q.counts = {}
    end
end
