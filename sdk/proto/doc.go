// Package proto holds the contract between ipcore and launchers in launcher/v1, and
// in goplugin, for authors in other languages, the services that go-plugin requires
// of a plugin.
package proto

//go:generate ./generate.sh
