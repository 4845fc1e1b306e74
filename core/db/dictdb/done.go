package dictdb

import "container/heap"

// doneQueue is the entries that may be dropped, the oldest submission first.
// Stubs have none and come before all others.
type doneQueue struct{ heap doneHeap }

func (q *doneQueue) len() int       { return len(q.heap) }
func (q *doneQueue) push(e *entry)  { heap.Push(&q.heap, e) }
func (q *doneQueue) oldest() *entry { return q.heap[0] }

func (q *doneQueue) remove(e *entry) { heap.Remove(&q.heap, e.place) }

// doneHeap is a heap whose entries know their place.
type doneHeap []*entry

func (h doneHeap) Len() int { return len(h) }

func (h doneHeap) Less(i, j int) bool {
	if c := h[i].Submitted.Compare(h[j].Submitted); c != 0 {
		return c < 0
	}
	return h[i].seq < h[j].seq
}

func (h doneHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push and Pop are for package heap.
func (h *doneHeap) Push(x any) {
	e := x.(*entry)
	e.place = len(*h)
	*h = append(*h, e)
}

// Pop removes the last entry.
func (h *doneHeap) Pop() any {
	n := len(*h) - 1
	e := (*h)[n]
	(*h)[n] = nil
	*h = (*h)[:n]
	return e
}
