package scheduler

// heap is a binary heap whose items know their index, so that any of them can be
// removed or moved in O(log n).
type heap[T any] struct {
	items    []T
	less     func(a, b T) bool
	setIndex func(item T, i int) // stores an item's index; -1 when it is removed
}

func (h *heap[T]) len() int { return len(h.items) }

// head returns the least item of a heap that is not empty.
func (h *heap[T]) head() T { return h.items[0] }

func (h *heap[T]) push(item T) {
	h.items = append(h.items, item)
	h.setIndex(item, len(h.items)-1)
	h.up(len(h.items) - 1)
}

// remove removes the item at index i.
func (h *heap[T]) remove(i int) {
	last := len(h.items) - 1
	h.setIndex(h.items[i], -1)
	if i != last {
		h.items[i] = h.items[last]
		h.setIndex(h.items[i], i)
	}
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	if i != last {
		h.fix(i)
	}
}

// fix restores the order after the item at index i has changed.
func (h *heap[T]) fix(i int) {
	if !h.down(i) {
		h.up(i)
	}
}

func (h *heap[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	h.setIndex(h.items[i], i)
	h.setIndex(h.items[j], j)
}

func (h *heap[T]) up(i int) {
	for i > 0 {
		parent := (i - 1) / 2
		if !h.less(h.items[i], h.items[parent]) {
			return
		}
		h.swap(i, parent)
		i = parent
	}
}

func (h *heap[T]) down(i int) (moved bool) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(h.items); child++ {
			if h.less(h.items[child], h.items[least]) {
				least = child
			}
		}
		if least == i {
			return moved
		}
		h.swap(i, least)
		i, moved = least, true
	}
}
