package dictdb

// doneQueue holds the entries that may be dropped, oldest submission first: a binary
// heap that stores the times that it compares. Stubs have no submission time and come
// first.
type doneQueue struct{ heap []slot }

func (q *doneQueue) len() int       { return len(q.heap) }
func (q *doneQueue) oldest() *entry { return q.heap[0].e }

func (q *doneQueue) push(e *entry) {
	q.heap = append(q.heap, slot{})
	q.up(len(q.heap)-1, slotOf(e.submitted, e))
}

func (q *doneQueue) remove(e *entry) {
	last := len(q.heap) - 1
	moved := q.heap[last]
	q.heap[last] = slot{}
	q.heap = q.heap[:last]
	if e.donePlace != last {
		q.up(q.down(e.donePlace, moved), moved)
	}
}

// up puts an item at i, or at an ancestor of i as long as the items there come after
// it.
func (q *doneQueue) up(i int, item slot) {
	for i > 0 {
		parent := (i - 1) / 2
		if !item.before(&q.heap[parent]) {
			break
		}
		q.put(i, q.heap[parent])
		i = parent
	}
	q.put(i, item)
}

// down frees a place for an item at i or at a descendant of i, and returns the place.
func (q *doneQueue) down(i int, item slot) int {
	for {
		child := 2*i + 1
		if child >= len(q.heap) {
			return i
		}
		if child+1 < len(q.heap) && q.heap[child+1].before(&q.heap[child]) {
			child++
		}
		if !q.heap[child].before(&item) {
			return i
		}
		q.put(i, q.heap[child])
		i = child
	}
}

func (q *doneQueue) put(i int, item slot) {
	q.heap[i] = item
	item.e.donePlace = i
}
