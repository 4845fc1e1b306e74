package db

// Stats are what a database holds, and what it had to let go.
type Stats struct {
	Records int
	Bytes   int64  // of finished records, where that is known
	Culled  uint64 // records dropped to keep within the limits
}

// Reporter is a DB that knows its Stats. They are asked for often.
type Reporter interface{ Stats() Stats }
