package db

// Stats are what a database holds, and what it had to let go.
type Stats struct {
	Records int
	Bytes   int64  // of finished records, where that is known
	Culled  uint64 // records dropped to keep within the limits

	// Of a database on disk or on a server.
	Queued      int    // records whose change waits to be stored
	QueuedBytes int64  // of those
	NotStored   uint64 // changes of records that were given up or refused
}

// Reporter is a DB that knows its Stats. They are asked for often.
type Reporter interface{ Stats() Stats }
