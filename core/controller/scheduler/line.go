package scheduler

// line is tasks in the order of their arrival. Nearly all come in that order
// and leave from the front or the middle, each in O(1); those that come back
// later than others, after a failure, say, stand in a heap beside.
type line struct {
	list  []*task // nil where one has left
	head  int     // index of the first that is there, or len(list)
	gone  int     // how many were cut off before list: a task's place is gone + its index
	n     int     // tasks in list
	later heap[*task]
}

func newLine() line {
	return line{later: heap[*task]{
		less:  func(a, b *task) bool { return a.arrival < b.arrival },
		place: func(t *task, i int) { t.later = i },
	}}
}

func (l *line) len() int { return l.n + l.later.len() }

// first answers the oldest task of a line that is not empty.
func (l *line) first() *task {
	switch {
	case l.n == 0:
		return l.later.head()
	case l.later.len() == 0 || l.list[l.head].arrival < l.later.head().arrival:
		return l.list[l.head]
	}
	return l.later.head()
}

func (l *line) push(t *task) {
	if l.n > 0 && t.arrival < l.list[len(l.list)-1].arrival {
		l.later.push(t)
		return
	}
	t.later, t.place = -1, l.gone+len(l.list)
	l.list = append(l.list, t)
	l.n++
}

func (l *line) remove(t *task) {
	if t.later >= 0 {
		l.later.remove(t.later)
		return
	}
	l.list[t.place-l.gone] = nil
	l.n--
	if l.n == 0 {
		l.gone += len(l.list)
		l.list, l.head = l.list[:0], 0
		return
	}
	for l.list[l.head] == nil {
		l.head++
	}
	for last := len(l.list) - 1; l.list[last] == nil; last-- { // push compares with the last
		l.list = l.list[:last]
	}
	if l.head > 64 && l.head > len(l.list)/2 {
		l.gone += l.head
		n := copy(l.list, l.list[l.head:])
		clear(l.list[n:])
		l.list, l.head = l.list[:n], 0
	}
}

// all answers the tasks, in no order.
func (l *line) all() []*task {
	all := make([]*task, 0, l.len())
	for _, t := range l.list[l.head:] {
		if t != nil {
			all = append(all, t)
		}
	}
	return append(all, l.later.items...)
}
