// Package proto holds the contract between ipcore and launchers, launcher/v1, and
// for authors in other languages what go-plugin asks of a plugin, goplugin.
package proto

//go:generate ./generate.sh
