use execgate::json::Json;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::io::AsRawFd;

/// What a short code stands for.
#[derive(Clone)]
pub struct Link {
    pub code: String,
    pub url: String,
    pub hits: u32,
}

impl Link {
    pub fn json(&self) -> Json {
        Json::object([
            ("code", Json::from(self.code.as_str())),
            ("url", Json::from(self.url.as_str())),
            ("hits", Json::from(self.hits)),
        ])
    }
}

/// An index in memory over a log that several processes append to: "link CODE URL" and "hit CODE" lines, or
/// "host CODE HOST" lines. Whoever holds the file's lock first reads what others have appended, so that all know the same.
pub struct Store {
    file: File,
    offset: u64, // how much of the log the index knows
    links: HashMap<String, Link>,
    seen: HashSet<String>, // codes that are counted
    hosts: BTreeMap<String, u32>,
}

// The standard library links the C library but, before Rust 1.89, has no name for this.
extern "C" {
    fn flock(fd: i32, operation: i32) -> i32;
}
const LOCK_EX: i32 = 2;
const LOCK_UN: i32 = 8;

struct Locked(i32);

impl Locked {
    fn take(file: &File) -> io::Result<Locked> {
        // Safety: the descriptor is open as long as the file.
        match unsafe { flock(file.as_raw_fd(), LOCK_EX) } {
            0 => Ok(Locked(file.as_raw_fd())),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Safety: as above; the store outlives its lock.
        unsafe { flock(self.0, LOCK_UN) };
    }
}

impl Store {
    pub fn open(path: &str) -> io::Result<Store> {
        let mut how = OpenOptions::new();
        let file = how
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(path)?;
        Ok(Store {
            file,
            offset: 0,
            links: HashMap::new(),
            seen: HashSet::new(),
            hosts: BTreeMap::new(),
        })
    }

    fn lock(&mut self) -> io::Result<Locked> {
        let locked = Locked::take(&self.file)?;
        self.catch_up()?;
        Ok(locked)
    }

    fn catch_up(&mut self) -> io::Result<()> {
        let size = self.file.metadata()?.len();
        if size < self.offset {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the log became shorter: start anew",
            ));
        }
        let mut news = vec![0; (size - self.offset) as usize];
        self.file.read_exact_at(&mut news, self.offset)?;
        let whole = news
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        for line in String::from_utf8_lossy(&news[..whole]).lines() {
            self.learn(line);
        }
        self.offset += whole as u64;
        if whole < news.len() {
            // Nobody writes now, so a crash has left half a line.
            self.file.set_len(self.offset)?;
        }
        Ok(())
    }

    fn learn(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let ["link", code, url] = words[..] {
            let link = Link {
                code: code.to_string(),
                url: url.to_string(),
                hits: 0,
            };
            self.links.insert(code.to_string(), link);
        } else if let ["host", code, host] = words[..] {
            if self.seen.insert(code.to_string()) {
                *self.hosts.entry(host.to_string()).or_default() += 1;
            }
        } else if let ["hit", code] = words[..] {
            if let Some(link) = self.links.get_mut(code) {
                link.hits += 1;
            }
        }
    }

    fn add(&mut self, line: String) -> io::Result<()> {
        if let Err(e) = self.file.write_all(format!("{}\n", line).as_bytes()) {
            self.file.set_len(self.offset)?;
            return Err(e);
        }
        self.offset += line.len() as u64 + 1;
        self.learn(&line);
        Ok(())
    }

    /// Returns once the link is on disk.
    pub fn create(&mut self, url: &str) -> io::Result<Link> {
        let _locked = self.lock()?;
        let mut code = new_code()?;
        while self.links.contains_key(&code) {
            code = new_code()?;
        }
        self.add(format!("link {} {}", code, url))?;
        self.file.sync_data()?;
        Ok(self.links[&code].clone())
    }

    pub fn find(&mut self, code: &str) -> io::Result<Option<Link>> {
        let _locked = self.lock()?;
        Ok(self.links.get(code).cloned())
    }

    /// Counts a hit. It survives this process but, unlike a link, perhaps not a power cut.
    pub fn follow(&mut self, code: &str) -> io::Result<Option<Link>> {
        let _locked = self.lock()?;
        if self.links.contains_key(code) {
            self.add(format!("hit {}", code))?;
        }
        Ok(self.links.get(code).cloned())
    }

    /// Returns once it is on disk that the link leads there.
    pub fn count(&mut self, code: &str, host: &str) -> io::Result<()> {
        let _locked = self.lock()?;
        if self.seen.contains(code) {
            return Ok(());
        }
        self.add(format!("host {} {}", code, host))?;
        self.file.sync_data()
    }

    /// How many links lead to each host.
    pub fn tally(&mut self) -> io::Result<Json> {
        let _locked = self.lock()?;
        let counts = self.hosts.iter();
        Ok(Json::object(
            counts.map(|(host, count)| (host.as_str(), Json::from(*count))),
        ))
    }
}

/// Seven letters of 5 bits, without those that look alike.
fn new_code() -> io::Result<String> {
    let mut random = [0; 7];
    File::open("/dev/urandom")?.read_exact(&mut random)?;
    let letters = b"0123456789abcdefghjkmnpqrstvwxyz";
    Ok(random
        .iter()
        .map(|b| letters[(b & 31) as usize] as char)
        .collect())
}
