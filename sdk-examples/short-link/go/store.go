package main

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
)

type link struct {
	Code string `json:"code"`
	URL  string `json:"url"`
	Hits int    `json:"hits"`
}

// A store is an index in memory over a log that several processes append to: "link CODE URL" and "hit CODE" lines, or
// "host CODE HOST" lines.
// Whoever holds the file's lock first reads what others have appended, so that all know the same.
type store struct {
	mutex  sync.Mutex // among the goroutines of this process; the file's lock is among processes
	file   *os.File
	offset int64 // how much of the log the index knows
	links  map[string]*link
	seen   map[string]bool // codes that are counted
	hosts  map[string]int
}

func openStore(path string) (*store, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	return &store{file: file, links: map[string]*link{}, seen: map[string]bool{}, hosts: map[string]int{}}, err
}

// locked runs work with the log locked and known.
func (s *store) locked(work func() error) error {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	fd := int(s.file.Fd())
	if err := syscall.Flock(fd, syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", s.file.Name(), err)
	}
	defer syscall.Flock(fd, syscall.LOCK_UN)
	if err := s.catchUp(); err != nil {
		return err
	}
	return work()
}

func (s *store) catchUp() error {
	size, err := s.file.Seek(0, io.SeekEnd)
	if err != nil || size == s.offset {
		return err
	}
	if size < s.offset {
		return fmt.Errorf("%s became shorter: start anew", s.file.Name())
	}
	news := make([]byte, size-s.offset)
	if _, err := s.file.ReadAt(news, s.offset); err != nil {
		return err
	}
	whole := bytes.LastIndexByte(news, '\n') + 1
	for _, line := range strings.Split(string(news[:whole]), "\n") {
		s.learn(strings.Fields(line))
	}
	s.offset += int64(whole)
	if whole < len(news) { // nobody writes now, so a crash has left half a line
		return s.file.Truncate(s.offset)
	}
	return nil
}

func (s *store) learn(words []string) {
	switch {
	case len(words) == 3 && words[0] == "link":
		s.links[words[1]] = &link{Code: words[1], URL: words[2]}
	case len(words) == 3 && words[0] == "host" && !s.seen[words[1]]:
		s.seen[words[1]] = true
		s.hosts[words[2]]++
	case len(words) == 2 && words[0] == "hit" && s.links[words[1]] != nil:
		s.links[words[1]].Hits++
	}
}

func (s *store) add(line string) error {
	if _, err := s.file.WriteString(line + "\n"); err != nil {
		s.file.Truncate(s.offset)
		return err
	}
	s.offset += int64(len(line)) + 1
	s.learn(strings.Fields(line))
	return nil
}

// create returns once the link is on disk.
func (s *store) create(url string) (made link, err error) {
	err = s.locked(func() error {
		code := newCode()
		for s.links[code] != nil {
			code = newCode()
		}
		if err := s.add("link " + code + " " + url); err != nil {
			return err
		}
		made = *s.links[code]
		return s.file.Sync()
	})
	return made, err
}

func (s *store) find(code string) (found *link, err error) {
	err = s.locked(func() error {
		if known := s.links[code]; known != nil {
			now := *known
			found = &now
		}
		return nil
	})
	return found, err
}

// follow counts a hit. It survives this process but, unlike a link, perhaps not a power cut.
func (s *store) follow(code string) (found *link, err error) {
	err = s.locked(func() error {
		found = s.links[code]
		if found == nil {
			return nil
		}
		return s.add("hit " + code)
	})
	return found, err
}

// count returns once it is on disk that the link leads there.
func (s *store) count(code, host string) error {
	return s.locked(func() error {
		if s.seen[code] {
			return nil
		}
		if err := s.add("host " + code + " " + host); err != nil {
			return err
		}
		return s.file.Sync()
	})
}

// tally is how many links lead to each host.
func (s *store) tally() (counts map[string]int, err error) {
	err = s.locked(func() error {
		counts = make(map[string]int, len(s.hosts))
		for host, count := range s.hosts {
			counts[host] = count
		}
		return nil
	})
	return counts, err
}

// newCode is seven letters of 5 bits, without those that look alike.
func newCode() string {
	code := make([]byte, 7)
	rand.Read(code) // fails on no system that is in use
	for i, b := range code {
		code[i] = "0123456789abcdefghjkmnpqrstvwxyz"[b&31]
	}
	return string(code)
}
