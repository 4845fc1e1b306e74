// Package profile finds and makes IPython profile directories.
package profile

// Options name a profile. The first that is set wins: Dir, IPP_PROFILE_DIR,
// Name under IPythonDir (IPYTHONDIR, else ~/.ipython), "default".
type Options struct {
	Name       string // --profile
	Dir        string // --profile-dir
	IPythonDir string // --ipython-dir
}

// Profile is a resolved profile directory.
type Profile struct {
	Dir string // absolute
}

// Resolve finds the directory without touching it.
func Resolve(o Options) (Profile, error) { panic("not written yet") }

// Create makes the directory and its security (0700), log and pid (0700)
// folders where they are missing.
func (p Profile) Create() error { panic("not written yet") }

// Exists tells whether the directory is there.
func (p Profile) Exists() bool { panic("not written yet") }

// Name is the profile's name ("default"), or "" for a directory of another form.
func (p Profile) Name() string { panic("not written yet") }

// SecurityDir and LogDir are the profile's folders of those names.
func (p Profile) SecurityDir() string { panic("not written yet") }
func (p Profile) LogDir() string      { panic("not written yet") }

// List answers the profiles found under an IPython directory ("" = default).
func List(ipythonDir string) ([]Profile, error) { panic("not written yet") }
