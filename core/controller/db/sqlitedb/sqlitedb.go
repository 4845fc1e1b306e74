package sqlitedb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/go-hclog"
	_ "modernc.org/sqlite" // the driver

	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// Defaults, which are IPython Parallel's.
const (
	DefaultFile  = "tasks.db"
	DefaultTable = "ipython-tasks"
)

// Options configure a database.
type Options struct {
	File  string // path of the file, which is created with mode 0600
	Table string // default: DefaultTable
	// Log receives failures; nil discards them.
	Log hclog.Logger
	// Writer are further options of the queue; its Log is Log.
	Writer writer.Options
}

// Open opens a file, or creates it.
func Open(o Options) (*writer.DB, error) {
	s, err := open(o)
	if err != nil {
		return nil, fmt.Errorf("SQLite database %s: %w", o.File, err)
	}
	o.Writer.Log = o.Log
	return writer.New(s, o.Writer), nil
}

// openTimeout limits the time for opening: another program may have locked the file.
const openTimeout = 10 * time.Second

func open(o Options) (*store, error) {
	log := o.Log
	if log == nil {
		log = hclog.NewNullLogger()
	}
	path, err := filepath.Abs(o.File)
	if err != nil {
		return nil, err
	}
	if err := createPrivate(path); err != nil {
		return nil, err
	}
	// A write-ahead log lets readers and the writer work at the same time. It needs
	// shared memory, so all programs must be on one machine.
	journal, synchronous := "WAL", "NORMAL"
	kind, err := sharedFilesystem(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	if kind != "" {
		journal, synchronous = "DELETE", "FULL"
		log.Info("task database is on a shared file system, using journal mode DELETE", "file", path, "filesystem", kind)
	}
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	write, err := connect(ctx, path, journal, synchronous)
	if err != nil {
		return nil, err
	}
	read, err := connect(ctx, path, journal, synchronous)
	if err != nil {
		return nil, errors.Join(err, write.close())
	}
	s := &store{write: write, read: read, log: log}
	if s.table, err = openTable(ctx, write.conn, cmp.Or(o.Table, DefaultTable)); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// createPrivate creates the file with mode 0600, or sets that mode on an existing one.
func createPrivate(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		err = f.Chmod(0o600)
	}
	return errors.Join(err, f.Close())
}

// connection is one connection to the file, with its prepared statements. One
// goroutine uses it.
type connection struct {
	pool       *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

func connect(ctx context.Context, path, journal, synchronous string) (*connection, error) {
	slashed := filepath.ToSlash(path)
	if slashed[0] != '/' { // a drive letter
		slashed = "/" + slashed
	}
	pragmas := url.Values{"_pragma": {"busy_timeout(2000)", "journal_mode(" + journal + ")", "synchronous(" + synchronous + ")"}, "_txlock": {"immediate"}}
	name := url.URL{Scheme: "file", OmitHost: true, Path: slashed, RawQuery: pragmas.Encode()}
	pool, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, err
	}
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	return &connection{pool: pool, conn: conn, statements: make(map[string]*sql.Stmt)}, nil
}

// prepare returns a prepared statement, which is kept for further calls.
func (c *connection) prepare(ctx context.Context, text string) (*sql.Stmt, error) {
	if s, ok := c.statements[text]; ok {
		return s, nil
	}
	s, err := c.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	c.statements[text] = s
	return s, nil
}

func (c *connection) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.conn.Close(), c.pool.Close())...)
}
