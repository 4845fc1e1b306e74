package mongodb

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/ipcore/ipcore/core/controller/db"
	"github.com/ipcore/ipcore/core/controller/db/dbtest"
	"github.com/ipcore/ipcore/core/controller/db/writer"
)

// serverVariable is the environment variable with the address of the test server.
const serverVariable = "TB_MONGO_URL"

// server returns the server's address, or skips the test.
func server(t *testing.T) string {
	t.Helper()
	url := os.Getenv(serverVariable)
	if url == "" {
		t.Skip(`no MongoDB server: run "make mongo" and eval "$(test/testbed/mongo.sh env)"`)
	}
	return url
}

// openTest opens an empty database that is dropped when the test ends.
func openTest(t *testing.T, o Options) *writer.DB {
	t.Helper()
	if o.URI == "" {
		o.URI = server(t)
	}
	o.Log = hclog.New(&hclog.LoggerOptions{Output: t.Output(), Level: hclog.Info})
	if o.Database == "" {
		o.Database = fmt.Sprintf("ipcore-test-%d", time.Now().UnixNano())
	}
	s, err := open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.records.Database().Drop(ctx); err != nil {
			t.Log(err)
		}
	})
	d, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConformance(t *testing.T) {
	// The suite checks results, not speed: a small server searches a long history for
	// longer than a hub would wait.
	o := Options{Writer: writer.Options{FindTimeout: 2 * time.Minute}}
	dbtest.Run(t, func(t *testing.T) db.DB { return openTest(t, o) })
}
