// Command ipcore-launcher-ssh starts controllers and engines on other machines
// over ssh. It is started by ipcore.
package main

import "github.com/ipcore/ipcore/plugins/ssh"

func main() { ssh.Main() }
