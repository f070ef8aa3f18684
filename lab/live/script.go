package live

import "socketlab/lab/trace"

// A Script is a scene for a class: actions of clients, one at a time.
type Script struct {
	Name  string       `json:"name"`
	Says  Words        `json:"says"` // what it shows
	Steps []ScriptStep `json:"steps"`
}

// A ScriptStep is one action, with a sentence that the page shows before it.
type ScriptStep struct {
	trace.Action
	Says Words `json:"says"`
	Asks bool  `json:"asks,omitempty"` // the class predicts first: who answers this client?
}

// Words are one sentence in each language of the page. {2} stands for the number
// of the scene's second client.
type Words struct {
	En string `json:"en"`
	Zh string `json:"zh"`
}

func does(client int, do, data, en, zh string) ScriptStep {
	return ScriptStep{Action: trace.Action{Client: client, Do: do, Data: data}, Says: Words{en, zh}}
}

func asks(s ScriptStep) ScriptStep {
	s.Asks = true
	return s
}

// Scenes are all scripts. The numbers of their clients follow those of earlier
// clients.
var Scenes = []Script{
	{"two-clients", Words{"Client 2 is connected. Who reads it?", "客户端 2 已连接。谁来读它？"}, []ScriptStep{
		does(1, trace.Connect, "", "Client {1} connects, and thinks.", "客户端 {1} 连接，然后思考。"),
		does(2, trace.Connect, "", "Client {2} connects too.", "客户端 {2} 也连接。"),
		asks(does(2, trace.Send, "hello\n", "Client {2} sends a line, while client {1} thinks.", "客户端 {1} 在思考，客户端 {2} 发送一行。")),
		does(1, trace.Send, "at last\n", "Client {1} has thought, and sends.", "客户端 {1} 想好了，发送。"),
		does(1, trace.Leave, "", "Client {1} leaves.", "客户端 {1} 离开。"),
		does(2, trace.Leave, "", "Client {2} leaves.", "客户端 {2} 离开。"),
	}},
	{"half-line", Words{"Half a line, and another client's whole one", "半行，和另一个客户端的整行"}, []ScriptStep{
		does(1, trace.Connect, "", "Client {1} connects.", "客户端 {1} 连接。"),
		does(2, trace.Connect, "", "Client {2} connects.", "客户端 {2} 连接。"),
		does(1, trace.Send, "hel", "Client {1} sends half a line.", "客户端 {1} 发送半行。"),
		asks(does(2, trace.Send, "hello\n", "Client {2} sends a whole one.", "客户端 {2} 发送整行。")),
		does(1, trace.Send, "lo\n", "Client {1} sends the rest.", "客户端 {1} 发送剩下的部分。"),
		does(1, trace.Leave, "", "Client {1} leaves.", "客户端 {1} 离开。"),
		does(2, trace.Leave, "", "Client {2} leaves.", "客户端 {2} 离开。"),
	}},
	{"slow-reader", Words{"A client that does not read", "不读取的客户端"}, []ScriptStep{
		does(1, trace.Connect, "", "Client {1} connects.", "客户端 {1} 连接。"),
		does(2, trace.Connect, "", "Client {2} connects.", "客户端 {2} 连接。"),
		does(1, trace.StopRead, "", "Client {1} stops reading.", "客户端 {1} 停止读取。"),
		does(1, trace.Flood, "", "Client {1} sends as much as the kernels take.", "客户端 {1} 一直发送，直到内核不再接收。"),
		asks(does(2, trace.Send, "hello\n", "Client {2} sends a line.", "客户端 {2} 发送一行。")),
		does(1, trace.ReadOn, "", "Client {1} reads on: what it is owed arrives.", "客户端 {1} 继续读取：欠它的数据到达。"),
		does(1, trace.Leave, "", "Client {1} leaves.", "客户端 {1} 离开。"),
		does(2, trace.Leave, "", "Client {2} leaves.", "客户端 {2} 离开。"),
	}},
	{"half-close", Words{"The client has finished sending. Does it get its answer?", "客户端发送完毕。它还能得到回答吗？"}, []ScriptStep{
		does(1, trace.Connect, "", "Client {1} connects.", "客户端 {1} 连接。"),
		does(1, trace.StopRead, "", "It does not read for now.", "它暂时不读取。"),
		does(1, trace.Send, "hello\n", "It sends a line.", "它发送一行。"),
		does(1, trace.HalfClose, "", "It has finished sending: FIN.", "它发送完毕：FIN。"),
		does(1, trace.ReadOn, "", "Now it reads: the answer first, then the server's FIN.", "现在它读取：先是回答，然后是服务器的 FIN。"),
	}},
	{"zombies", Words{"Five clients leave at once. Who collects their processes?", "五个客户端同时离开。谁来回收它们的进程？"}, append(crowd(5), everybody(5, trace.Leave, "They leave, one right after the other.", "它们接连离开。")...)},
	{"fin-or-rst", Words{"Three ways to say goodbye: FIN, half-close, RST", "三种告别方式：FIN、半关闭、RST"}, []ScriptStep{
		does(1, trace.Connect, "", "Client {1} connects.", "客户端 {1} 连接。"),
		does(1, trace.Leave, "", "Client {1} closes: FIN both ways.", "客户端 {1} 关闭：双向 FIN。"),
		does(2, trace.Connect, "", "Client {2} connects.", "客户端 {2} 连接。"),
		does(2, trace.Send, "hello\n", "It sends a line.", "它发送一行。"),
		does(2, trace.HalfClose, "", "It has finished sending, and still reads.", "它发送完毕，但仍在读取。"),
		does(3, trace.Connect, "", "Client {3} connects.", "客户端 {3} 连接。"),
		does(3, trace.Reset, "", "Client {3} resets the connection.", "客户端 {3} 重置连接。"),
	}},
	{"crowd", Words{"Ten clients at the same moment", "同时到来的十个客户端"}, crowd(10)},
}

// crowd makes n clients connect, and then each of them send a line.
func crowd(n int) []ScriptStep {
	steps := everybody(n, trace.Connect, "One more client connects.", "又一个客户端连接。")
	for i := range n {
		steps = append(steps, does(i+1, trace.Send, "hello\n", "One after the other sends.", "它们依次发送。"))
	}
	return steps
}

// everybody makes n clients do the same, one after the other.
func everybody(n int, do, en, zh string) (steps []ScriptStep) {
	for i := range n {
		steps = append(steps, does(i+1, do, "", en, zh))
	}
	return steps
}

func find(name string) (Script, bool) {
	for _, s := range Scenes {
		if s.Name == name {
			return s, true
		}
	}
	return Script{}, false
}

// Names are the names of the scenes.
func Names() (all []string) {
	for _, s := range Scenes {
		all = append(all, s.Name)
	}
	return all
}
