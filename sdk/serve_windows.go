package sdk

import "os"

// caughtSignals are the signals whose default action, to end the plugin, must not
// happen.
var caughtSignals = []os.Signal{os.Interrupt}

// endsPlugin reports whether the signal asks the plugin to end. Windows has no such
// signal.
func endsPlugin(os.Signal) bool { return false }

// privateUmask does nothing: Windows has no umask.
func privateUmask() func() { return func() {} }

// stdoutHasNoReader returns false: Windows does not tell, and connectTimeout ends the
// plugin instead.
func stdoutHasNoReader() bool { return false }
