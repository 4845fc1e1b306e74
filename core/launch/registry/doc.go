// Package registry finds launchers and asks them to describe themselves. Package plugin
// starts them.
//
// A launcher named "mine" is an executable called ipcore-launcher-mine
// (ipcore-launcher-mine.exe on Windows). Wherever a launcher can be chosen, a name or a
// path can be given. A name is looked for in these folders; the first one that has it
// wins:
//
//  1. the folders of IPCORE_LAUNCHER_PATH, separated as in PATH
//  2. launchers in the profile folder
//  3. ipcore/launchers in the user's data folder ($XDG_DATA_HOME, else ~/.local/share)
//  4. libexec/ipcore next to the folder of the ipcore executable, links resolved
//  5. the folder of the ipcore executable, links resolved
//
// PATH is not searched. Files and folders that other users can write to are refused.
// Search.Dirs returns the folders.
package registry
