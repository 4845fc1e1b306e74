// Package registry finds launcher plugins, starts them and speaks with them. It
// is the only package, beside sdk, that knows go-plugin.
//
// A launcher named "mine" is an executable called ipcore-launcher-mine
// (ipcore-launcher-mine.exe on Windows). Anything that asks for a launcher takes
// a name or a path. A name is looked for in these places; the first that has it
// wins:
//
//  1. the folders of IPCORE_LAUNCHER_PATH, separated as in PATH
//  2. launchers in the profile folder
//  3. ipcore/launchers in the user's data folder ($XDG_DATA_HOME, else ~/.local/share)
//  4. libexec/ipcore beside the folder of the ipcore executable, links resolved
//  5. the folder of the ipcore executable, links resolved
//
// PATH is not searched. Files and folders that other users can write to are
// refused. Places answers the list for a given search.
package registry
