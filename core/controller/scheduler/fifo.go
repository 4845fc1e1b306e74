package scheduler

// fifo is tasks in the order of their arrival. Nearly all are added in that order
// and are removed from the front or the middle, each in O(1). Tasks that are added
// after later ones, for instance after a failure, are in a heap instead.
type fifo struct {
	list   []*task // nil where a task was removed
	head   int     // index of the first task that is present, or len(list)
	offset int     // how many entries were cut off before list: a task's fifoIndex is offset + its index
	n      int     // tasks in list
	late   heap[*task]
}

func newFIFO() fifo {
	return fifo{late: heap[*task]{
		less:     func(a, b *task) bool { return a.arrival < b.arrival },
		setIndex: func(t *task, i int) { t.lateIndex = i },
	}}
}

func (l *fifo) len() int { return l.n + l.late.len() }

// first returns the oldest task of a fifo that is not empty.
func (l *fifo) first() *task {
	switch {
	case l.n == 0:
		return l.late.head()
	case l.late.len() == 0 || l.list[l.head].arrival < l.late.head().arrival:
		return l.list[l.head]
	}
	return l.late.head()
}

func (l *fifo) push(t *task) {
	if l.n > 0 && t.arrival < l.list[len(l.list)-1].arrival {
		l.late.push(t)
		return
	}
	t.lateIndex, t.fifoIndex = -1, l.offset+len(l.list)
	l.list = append(l.list, t)
	l.n++
}

func (l *fifo) remove(t *task) {
	if t.lateIndex >= 0 {
		l.late.remove(t.lateIndex)
		return
	}
	l.list[t.fifoIndex-l.offset] = nil
	l.n--
	if l.n == 0 {
		l.offset += len(l.list)
		l.list, l.head = l.list[:0], 0
		return
	}
	for l.list[l.head] == nil {
		l.head++
	}
	for last := len(l.list) - 1; l.list[last] == nil; last-- { // push compares with the last task
		l.list = l.list[:last]
	}
	if l.head > 64 && l.head > len(l.list)/2 {
		l.offset += l.head
		n := copy(l.list, l.list[l.head:])
		clear(l.list[n:])
		l.list, l.head = l.list[:n], 0
	}
}

// all returns the tasks, in no particular order.
func (l *fifo) all() []*task {
	all := make([]*task, 0, l.len())
	for _, t := range l.list[l.head:] {
		if t != nil {
			all = append(all, t)
		}
	}
	return append(all, l.late.items...)
}
