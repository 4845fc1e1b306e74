package wire

import "fmt"

// Metadata has the fields that schedulers need from the metadata of requests and replies.
// Fields that are absent or null are zero.
type Metadata struct {
	// Fields of requests.
	Retries       int
	Targets       []string // engine uuids; empty means any engine
	TargetIDs     []int    // engine ids of broadcasts, in addition to Targets
	After, Follow Dependency
	Timeout       float64 // seconds; 0 means none
	Label         string

	// Fields of broadcasts, which engines copy into replies.
	OriginalMsgID string
	IsBroadcast   bool
	IsCoalescing  bool

	// Fields of replies.
	Status  string // "ok", "error", "aborted"
	Engine  string // uuid
	Started string // a date
	// DependenciesUnmet is set by "dependencies_met": false. Without the key, the
	// dependencies were met.
	DependenciesUnmet bool
}

// Dependency names tasks that another task waits for. Without ids there is nothing to
// wait for.
type Dependency struct {
	IDs     []string
	All     bool // wait for all ids instead of any of them
	Success bool // a completed task counts
	Failure bool // a failed task counts
}

// Empty reports whether there is nothing to wait for.
func (d Dependency) Empty() bool { return len(d.IDs) == 0 }

// PeekMetadata reads packed metadata without reflection. Unknown keys are
// skipped; a known key of another type is an error.
func PeekMetadata(packed []byte) (Metadata, error) { return readMetadata(packed, newScanner) }

// ViewMetadata is PeekMetadata without the copy: the strings may be views of packed,
// which must not be modified afterwards.
func ViewMetadata(packed []byte) (Metadata, error) { return readMetadata(packed, viewScanner) }

func readMetadata(packed []byte, scan func([]byte) scanner) (Metadata, error) {
	if string(packed) == "{}" {
		return Metadata{}, nil
	}
	packed, err := plain(packed)
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata: %w", err)
	}
	r := metadataReader{scanner: scan(packed)}
	err = r.object(r.field)
	if err == nil {
		err = r.end()
	}
	if err != nil {
		return Metadata{}, fmt.Errorf("metadata: %w", err)
	}
	return r.m, nil
}

type metadataReader struct {
	scanner
	m Metadata
}

func (r *metadataReader) field(key string) (err error) {
	m := &r.m
	switch key {
	case "retries":
		m.Retries, err = r.int()
	case "targets":
		err = r.targets()
	case "after":
		m.After, err = r.dependency()
	case "follow":
		m.Follow, err = r.dependency()
	case "timeout":
		m.Timeout, err = r.float()
	case "label":
		err = r.stringOrNull(&m.Label)
	case "original_msg_id":
		err = r.stringOrNull(&m.OriginalMsgID)
	case "is_broadcast":
		err = r.boolOrNull(&m.IsBroadcast)
	case "is_coalescing":
		err = r.boolOrNull(&m.IsCoalescing)
	case "status":
		err = r.stringOrNull(&m.Status)
	case "engine":
		err = r.stringOrNull(&m.Engine)
	case "started":
		err = r.stringOrNull(&m.Started)
	case "dependencies_met":
		err = r.dependenciesMet()
	default:
		return r.skip()
	}
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

func (r *metadataReader) dependenciesMet() error {
	r.m.DependenciesUnmet = false
	if null, err := r.null(); null || err != nil {
		return err
	}
	met, err := r.bool()
	r.m.DependenciesUnmet = !met
	return err
}

// targets reads null, one uuid, a list of uuids, or a list of [uuid, id].
func (r *metadataReader) targets() error {
	m := &r.m
	m.Targets, m.TargetIDs = nil, nil
	switch r.peek() {
	case 'n':
		return r.word("null")
	case '"':
		uuid, err := r.string()
		m.Targets = append(m.Targets, uuid)
		return err
	}
	return r.array(func() error {
		if r.peek() != '[' {
			uuid, err := r.string()
			m.Targets = append(m.Targets, uuid)
			return err
		}
		return r.target()
	})
}

// target reads one [uuid, id].
func (r *metadataReader) target() error {
	m := &r.m
	n := 0
	err := r.array(func() error {
		n++
		switch n {
		case 1:
			uuid, err := r.string()
			m.Targets = append(m.Targets, uuid)
			return err
		case 2:
			id, err := r.int()
			m.TargetIDs = append(m.TargetIDs, id)
			return err
		}
		return r.fail("expected [uuid, id]")
	})
	if err == nil && n != 2 {
		err = r.fail("expected [uuid, id]")
	}
	return err
}

// dependency reads null, a list of msg_ids, or the dictionary form.
func (r *metadataReader) dependency() (Dependency, error) {
	d := Dependency{All: true, Success: true}
	switch r.peek() {
	case 'n':
		return Dependency{}, r.word("null")
	case '[':
		err := r.strings(&d.IDs)
		if len(d.IDs) == 0 {
			d = Dependency{}
		}
		return d, err
	}
	err := r.object(func(key string) error {
		switch key {
		case "dependencies":
			return r.strings(&d.IDs)
		case "all":
			return r.boolOrNull(&d.All)
		case "success":
			return r.boolOrNull(&d.Success)
		case "failure":
			return r.boolOrNull(&d.Failure)
		}
		return r.skip()
	})
	return d, err
}

func (r *metadataReader) strings(list *[]string) error {
	*list = nil
	return r.array(func() error {
		v, err := r.string()
		*list = append(*list, v)
		return err
	})
}
