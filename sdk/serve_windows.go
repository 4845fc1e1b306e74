package sdk

import "os"

// caughtSignals are those that must not end the plugin by default.
var caughtSignals = []os.Signal{os.Interrupt}

// endsPlugin tells whether the signal asks for an orderly end; Windows has none.
func endsPlugin(os.Signal) bool { return false }

// privateUmask does nothing: there is no umask here.
func privateUmask() func() { return func() {} }

// stdoutAbandoned can't be told here; neverConnected has to do.
func stdoutHasNoReader() bool { return false }
