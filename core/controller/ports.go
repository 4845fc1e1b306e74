package controller

import (
	"fmt"
	"strconv"

	"github.com/ipcore/ipcore/core/sockets"
)

// portPool returns the port numbers of its own list, then those of the shared list,
// then 0, for any port.
type portPool struct {
	own    []int
	shared *[]int
}

func (p *portPool) next() int {
	for _, list := range []*[]int{&p.own, p.shared} {
		if len(*list) > 0 {
			port := (*list)[0]
			*list = (*list)[1:]
			return port
		}
	}
	return 0
}

// listen binds a socket and returns its port. what names the socket's purpose in
// the error.
func listen(s *sockets.Socket, what, ip string, port int) (int, error) {
	endpoint := "tcp://" + ip + ":" + strconv.Itoa(port)
	bound, err := s.Listen(endpoint)
	if err != nil {
		return 0, fmt.Errorf("controller: listen for %s on %s: %w", what, endpoint, err)
	}
	return bound, nil
}
