package hub

import "encoding/json"

// Locate sets Options.URL and Options.ConnectionInfo, which are known when the
// sockets listen. It is called before Run, or not at all.
func (h *Hub) Locate(url string, info json.RawMessage) {
	h.o.URL, h.o.ConnectionInfo = url, info
}
