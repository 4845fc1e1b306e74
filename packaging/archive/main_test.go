package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSameBytes packs two folders that differ in times and modes only.
func TestSameBytes(t *testing.T) {
	for _, form := range []string{".tar.gz", ".zip"} {
		t.Run(form, func(t *testing.T) {
			var packed [2][]byte
			for i, mode := range []os.FileMode{0o600, 0o664} {
				folder := t.TempDir()
				write := func(name, text string, mode os.FileMode) {
					t.Helper()
					file := filepath.Join(folder, name)
					if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(file, []byte(text), mode); err != nil {
						t.Fatal(err)
					}
					past := time.Now().Add(-time.Duration(i) * time.Hour)
					if err := os.Chtimes(file, past, past); err != nil {
						t.Fatal(err)
					}
				}
				write("share/text", strings.Repeat("text ", 1000), mode)
				write("bin/program", "program", mode|0o100)
				if form == ".tar.gz" {
					if err := os.Symlink("program", filepath.Join(folder, "bin", "link")); err != nil {
						t.Fatal(err)
					}
				}
				out := filepath.Join(t.TempDir(), "a"+form)
				if err := pack(out, folder, "top", time.Unix(1_800_000_000, 0).UTC()); err != nil {
					t.Fatal(err)
				}
				var err error
				if packed[i], err = os.ReadFile(out); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(packed[0], packed[1]) {
				t.Error("the two archives differ")
			}
			want := "top/ 755, top/bin/ 755, top/bin/program 755, top/share/ 755, top/share/text 644"
			names := namesOfZip
			if form == ".tar.gz" {
				want = "top/ 755, top/bin/ 755, top/bin/link -> program, top/bin/program 755, top/share/ 755, top/share/text 644"
				names = namesOfTar
			}
			if got := names(t, packed[0]); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func namesOfTar(t *testing.T, packed []byte) string {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return strings.Join(names, ", ")
		}
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case h.Linkname != "":
			names = append(names, h.Name+" -> "+h.Linkname)
		default:
			names = append(names, fmt.Sprintf("%s %o", h.Name, h.FileInfo().Mode().Perm()))
		}
		if h.Uid != 0 || h.Gid != 0 || h.ModTime.Unix() != 1_800_000_000 {
			t.Errorf("%s: %+v", h.Name, h)
		}
	}
}

func namesOfZip(t *testing.T, packed []byte) string {
	t.Helper()
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range z.File {
		names = append(names, fmt.Sprintf("%s %o", f.Name, f.Mode().Perm()))
		if f.Modified.Unix() != 1_800_000_000 {
			t.Errorf("%s: %v", f.Name, f.Modified)
		}
	}
	return strings.Join(names, ", ")
}
