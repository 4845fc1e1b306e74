package hub

import (
	"bytes"
	"encoding/json"
)

// object writes a JSON dictionary whose keys are only known at run time, in the
// order in which they are added. It keeps the first error.
type object struct {
	text bytes.Buffer
	err  error
}

// newObject begins the content of a successful reply.
func newObject() *object {
	o := &object{}
	o.put("status", "ok")
	return o
}

// put adds a key and the JSON text of v.
func (o *object) put(key string, v any) {
	text, err := json.Marshal(v)
	if err != nil && o.err == nil {
		o.err = err
	}
	o.key(key)
	o.text.Write(text)
}

// key begins an entry whose value the caller writes to text.
func (o *object) key(key string) {
	if o.text.Len() == 0 {
		o.text.WriteByte('{')
	} else {
		o.text.WriteString(", ")
	}
	name, err := json.Marshal(key)
	if err != nil && o.err == nil {
		o.err = err
	}
	o.text.Write(name)
	o.text.WriteString(": ")
}

// done returns the whole text.
func (o *object) done() (json.RawMessage, error) {
	if o.text.Len() == 0 {
		o.text.WriteByte('{')
	}
	o.text.WriteByte('}')
	return o.text.Bytes(), o.err
}

// answerObject replies to a request with an object.
func (h *Hub) answerObject(r *request, msgType string, o *object, buffers ...[]byte) error {
	content, err := o.done()
	return h.answer(r, msgType, content, err, buffers...)
}
