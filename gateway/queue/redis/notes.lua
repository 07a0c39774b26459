-- ARGV: what, key, and what it needs. Reply: time, granted, and what stands there now or false.
local what, key = ARGV[3], ARGV[4]
local steps = {}

function steps.recall()
    return 1, call('HGET', P .. 'notes', key)
end

-- expected?, expected, value?, value
function steps.swap()
    local present = call('HGET', P .. 'notes', key)
    local expected, value = ARGV[5] == '1' and ARGV[6], ARGV[7] == '1' and ARGV[8]
    if present ~= expected then return 0, present end
    if value then
        call('HSET', P .. 'notes', key, value)
    else
        call('HDEL', P .. 'notes', key)
    end
    return 1, value
end

-- owner, ttl
function steps.lease()
    local name, owner, ttl = P .. 'lease:' .. key, ARGV[5], tonumber(ARGV[6])
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

local granted, value = steps[what]()
return {now, granted, value}
