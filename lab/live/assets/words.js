// The page's words, in English and Chinese. The terms are those of the man
// pages; a term that a program prints (ESTABLISHED, accept) is not translated.
const words = {
  en: {
    connect: "connects", send: "sends", "half-close": "FIN", reset: "RST", leave: "leaves",
    "stop-reading": "stops reading", "read-on": "reads on",
    newClient: "new client", type: "type", sendButton: "send", half: "half line", stop: "stop reading", on: "read on",
    fin: "FIN", rst: "RST", leaveButton: "leave", step: "step", play: "play", run: "run", slow: "slowly", speed: "speed",
    next: "next", scene: "scene", free: "free play", action: "action", of: "of", now: "now",
    program: "PROGRAM", kernel: "KERNEL", clients: "CLIENTS", cost: "COST", ladder: "WHAT HAPPENED",
    queue: "accept queue", notAccepted: "not accepted", asleep: "asleep", awake: "runs", held: "held",
    zombie: "zombie", ended: "ended", waits: "waits", answered: "answered", noClient: "no client yet",
    client: "client", gotAll: "all servers answered", differs: "differs", nobody: "Choose a client, and send something.",
    answeredBy: "answered by", waitsAt: "waits at", memory: "memory", threads: "threads", files: "descriptors", calls: "calls", processes: "processes",
    watching: "watching costs", lost: "events lost", inferred: "dashed: inferred, not seen", predict: "Predict: who answers client {n} now?",
    vote: "vote", votes: "votes", locked: "The next action waits for a prediction.", truth: "In truth", cannotHold: "cannot be held: not a page of the lab",
    readOnly: "you watch; the teacher acts", help: "keys", theme: "light or dark", over: "The connection to the lab is lost. It has ended, or the network is gone.",
    unread: "unread", unsent: "unsent", in: "in", out: "out", source: "how it is seen", nothing: "nothing yet", more: "more", recording: "a recording",
    leftIn: "s left", choose: "which column",
  },
  zh: {
    connect: "连接", send: "发送", "half-close": "发 FIN", reset: "发 RST", leave: "离开",
    "stop-reading": "停止读取", "read-on": "继续读取",
    newClient: "新客户端", type: "输入", sendButton: "发送", half: "半行", stop: "停止读取", on: "继续读取",
    fin: "FIN", rst: "RST", leaveButton: "离开", step: "单步", play: "播放", run: "运行", slow: "慢速", speed: "速度",
    next: "下一步", scene: "场景", free: "自由操作", action: "动作", of: "/", now: "现在",
    program: "程序", kernel: "内核", clients: "客户端", cost: "开销", ladder: "发生了什么",
    queue: "全连接队列", notAccepted: "尚未 accept", asleep: "睡眠", awake: "运行", held: "暂停",
    zombie: "僵尸进程", ended: "已结束", waits: "等待", answered: "已回答", noClient: "还没有客户端",
    client: "客户端", gotAll: "所有服务器都已回答", differs: "不同", nobody: "选择一个客户端，发送一点内容。",
    answeredBy: "已回答：", waitsAt: "还在等待：", memory: "内存", threads: "线程", files: "描述符", calls: "系统调用", processes: "进程",
    watching: "观察的开销", lost: "丢失的事件", inferred: "虚线：推断，未直接看到", predict: "预测：现在谁会回答客户端 {n}？",
    vote: "投票", votes: "票", locked: "先预测，再进行下一步。", truth: "实际上", cannotHold: "无法单步：不是本实验室的页面",
    readOnly: "你在观看；由老师操作", help: "按键", theme: "浅色或深色", over: "与 lab 的连接已断开：它已结束，或网络中断。",
    unread: "未读", unsent: "未发", in: "收", out: "发", source: "观察方式", nothing: "还没有", more: "更多", recording: "录像",
    leftIn: "秒后结束", choose: "选择一列",
  },
};

export const languages = Object.keys(words);

export function speak(language) {
  const table = words[language] ?? words.en;
  return (key, values = {}) => (table[key] ?? words.en[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name]);
}
