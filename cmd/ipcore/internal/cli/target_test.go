package cli

import "testing"

func TestPythonQuote(t *testing.T) {
	if got := pythonQuote(`C:\a "b"`); got != `"C:\\a \"b\""` {
		t.Errorf("pythonQuote: %s", got)
	}
}
