-- One call: what, key, and what it needs. Reply: -1, granted, and what stands there now or false.
local steps = {}

function steps.recall(key)
    return 1, call('HGET', P .. 'notes', key)
end

-- expected?, expected, value?, value
function steps.swap(key, a)
    local present = call('HGET', P .. 'notes', key)
    local expected, value = a[3] == '1' and a[4], a[5] == '1' and a[6]
    if present ~= expected then return 0, present end
    if value then
        call('HSET', P .. 'notes', key, value)
    else
        call('HDEL', P .. 'notes', key)
    end
    return 1, value
end

-- owner, ttl
function steps.lease(key, a)
    local name, owner, ttl = P .. 'lease:' .. key, a[3], tonumber(a[4])
    local until_ms, holder = string.match(call('GET', name) or '', '^(%d+) (.*)$')
    if until_ms and tonumber(until_ms) <= now then holder = nil end
    if holder and holder ~= owner then return 0, holder end
    if ttl == 0 then
        call('DEL', name)
        return 1, false
    end
    -- Redis forgets it some time later; until then the time within is what counts.
    call('SET', name, (now + ttl) .. ' ' .. owner, 'PX', ttl + 60000)
    return 1, owner
end

local function run(all, at)
    local a = {all[at], all[at + 1], all[at + 2], all[at + 3], all[at + 4], all[at + 5]}
    local granted, value = steps[a[1]](a[2], a)
    return {-1, granted, value}
end
