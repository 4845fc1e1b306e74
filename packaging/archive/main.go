// Command archive packs a folder so that the same files give the same bytes: names
// are sorted, all times are one, files belong to root and have one of two modes. The
// name of the archive says its form, .tar.gz or .zip.
//
//	archive -epoch SECONDS -top NAME -o FILE.tar.gz FOLDER
package main

import (
	"archive/tar"
	"archive/zip"
	"compress/flate"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

func main() {
	epoch := flag.Int64("epoch", 0, "time of all files, in seconds since 1970")
	top := flag.String("top", "", "folder in the archive that everything is in")
	out := flag.String("o", "", "the archive: FILE.tar.gz or FILE.zip")
	flag.Parse()
	if flag.NArg() != 1 || *top == "" || *out == "" {
		flag.Usage()
		os.Exit(2)
	}
	if err := pack(*out, flag.Arg(0), *top, time.Unix(*epoch, 0).UTC()); err != nil {
		fmt.Fprintln(os.Stderr, "archive:", err)
		os.Exit(1)
	}
}

// entry is a folder, file or link of the archive.
type entry struct {
	name   string // in the archive, with slashes
	path   string // of the file
	mode   fs.FileMode
	size   int64
	target string // of a link
}

// entries returns what is in the folder, sorted by name.
func entries(folder, top string) ([]entry, error) {
	var all []entry
	err := filepath.WalkDir(folder, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(folder, file)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		e := entry{name: path.Join(top, filepath.ToSlash(rel)), path: file}
		switch {
		case d.IsDir():
			e.name, e.mode = e.name+"/", fs.ModeDir|0o755
		case info.Mode()&fs.ModeSymlink != 0:
			e.mode = fs.ModeSymlink | 0o777
			if e.target, err = os.Readlink(file); err != nil {
				return err
			}
		case info.Mode().IsRegular():
			e.mode, e.size = 0o644, info.Size()
			if info.Mode()&0o100 != 0 {
				e.mode = 0o755
			}
		default:
			return fmt.Errorf("%s is neither a file nor a folder nor a link", file)
		}
		all = append(all, e)
		return nil
	})
	return all, err // WalkDir goes by name
}

// pack writes the archive. One that could not be finished is removed.
func pack(out, folder, top string, when time.Time) (err error) {
	all, err := entries(folder, top)
	if err != nil {
		return err
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(out)
		}
	}()
	if strings.HasSuffix(out, ".zip") {
		return writeZip(f, all, when)
	}
	return writeTar(f, all, when)
}

func writeTar(w io.Writer, all []entry, when time.Time) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression) // writes no name and no time
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	for _, e := range all {
		h := &tar.Header{Name: e.name, Mode: int64(e.mode.Perm()), ModTime: when, Uname: "root", Gname: "root", Format: tar.FormatUSTAR}
		switch {
		case e.mode.IsDir():
			h.Typeflag = tar.TypeDir
		case e.target != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.target
		default:
			h.Typeflag, h.Size = tar.TypeReg, e.size
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if err := content(t, e); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

func writeZip(w io.Writer, all []entry, when time.Time) error {
	z := zip.NewWriter(w)
	z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, e := range all {
		if e.target != "" {
			return fmt.Errorf("%s is a link, and a zip has none", e.name)
		}
		h := &zip.FileHeader{Name: e.name, Modified: when}
		h.SetMode(e.mode)
		if e.mode.IsRegular() {
			h.Method = zip.Deflate
		}
		part, err := z.CreateHeader(h)
		if err != nil {
			return err
		}
		if err := content(part, e); err != nil {
			return err
		}
	}
	return z.Close()
}

// content copies what is in a file; folders and links have nothing.
func content(w io.Writer, e entry) error {
	if !e.mode.IsRegular() {
		return nil
	}
	f, err := os.Open(e.path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}
