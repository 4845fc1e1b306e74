package db

// Stats describes what a database holds, and what it has dropped.
type Stats struct {
	Records int
	Bytes   int64  // of records of ended tasks, if the backend counts them
	Culled  uint64 // records dropped to keep within the limits

	// For a database on disk or on a server.
	Queued      int    // records with changes that are not stored yet
	QueuedBytes int64  // of those changes
	NotStored   uint64 // changes that were discarded or refused
}

// Reporter is a DB that reports Stats. Stats is called often, and must be cheap.
type Reporter interface{ Stats() Stats }
