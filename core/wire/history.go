package wire

import "sync"

// historySize is how many signatures a session remembers. When there are more,
// one in ten is dropped at random.
const historySize = 65_536

// digest is the beginning of a hexadecimal signature. 128 bits of a verified HMAC
// are enough to distinguish messages.
type digest [32]byte

// history is the set of signatures that a session has accepted.
type history struct {
	mu   sync.Mutex
	seen map[digest]struct{}
	size int
}

// add remembers a verified signature and reports whether it was new.
func (h *history) add(signature []byte) bool {
	var d digest
	copy(d[:], signature)
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, dup := h.seen[d]; dup {
		return false
	}
	if h.seen == nil {
		h.seen = make(map[digest]struct{})
	}
	h.seen[d] = struct{}{}
	if len(h.seen) > h.size {
		h.cull(max(1, h.size/10))
	}
	return true
}

// cull forgets n signatures; the map's own iteration order is random enough.
func (h *history) cull(n int) {
	for d := range h.seen {
		if n == 0 {
			return
		}
		delete(h.seen, d)
		n--
	}
}
