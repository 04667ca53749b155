// The gateway that is measured beside ours would listen on every address of the machine; here it listens on one.
const net = require("node:net");
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port: Number(port.port ?? port), host: "127.0.0.1" }, rest.find((one) => typeof one === "function"));
};
