// The pure functions of the page of `dev`, run by tests/it/page.rs: node unit.mjs FOLDER-OF-ASSETS
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
const a = { ...await import(`${process.argv[2]}/text.js`), ...await import(`${process.argv[2]}/schema.js`) };
const eq = assert.deepEqual, plain = (v) => v === undefined ? undefined : JSON.parse(a.stringify(v));
// indenter
const big = '{"id":9007199254740993,"f":1.0,"e":1E400,"n":-0,"s":"a\\"{[,]}:\\u00e9 12345678901234567890","a":[],"o":{},"l":[1,[true,null]]}';
for (const t of ['{}','[]','5','"x"','null',' [ ] ','{"a":{"b":[{}]}}', big]) {
  eq(JSON.parse(a.indent(t)), JSON.parse(t));
  eq(a.indent(t), a.indent(a.indent(t)));
}
for (const v of [{a:[1,2,{b:[],c:{}}],d:"x"},[[]],[{}],"",{"":[]}]) eq(a.indent(JSON.stringify(v)), JSON.stringify(v,null,2));
assert.match(a.indent(big), /"id": 9007199254740993,\n  "f": 1\.0,\n  "e": 1E400,\n  "n": -0,/);
for (const t of ['','{','[1,]','{"a":1,}','01','nul','"\n"','1 2','{a:1}']) assert.throws(() => a.indent(t), SyntaxError, t);
// lossless parse
assert.equal(a.stringify(a.parse(big)), big.replace('\\u00e9','é'));
eq(plain(a.parse('{"__proto__":{"x":1},"a":[[],{},[1,2]]}')).a, [[],{},[1,2]]);
assert.equal(a.stringify(a.parse('{"__proto__":{"x":1}}')), '{"__proto__":{"x":1}}'); assert.equal({}.x, undefined);
for (let k=0;k<3000;k++){ const g=(d)=>{const z=Math.random(); if(d>3||z<.3) return [null,true,false,Math.random()*1e6,-3,"a\"\\\n{}[],:","é😀",""][Math.floor(Math.random()*8)]; if(z<.6) return Array.from({length:Math.random()*4},()=>g(d+1)); return Object.fromEntries(Array.from({length:Math.random()*4},(_, i)=>["k"+i+"\"",g(d+1)]));}; const v=g(0);
 eq(a.indent(JSON.stringify(v)), JSON.stringify(v,null,2)); assert.equal(a.stringify(a.parse(JSON.stringify(v))), JSON.stringify(v)); }
// large
const esc = JSON.stringify({s:"\n\"".repeat(2_000_000), l: Array.from({length:300000},(_, i)=>i)}); let t0=Date.now(); a.indent(esc); console.log("large", esc.length, Date.now()-t0,"ms");
// resolve
const root = {$defs:{e:{type:"string",format:"email"},loop:{$ref:"#/$defs/loop"},"a/b":{type:"integer"}},entities:{contact:{type:"object",properties:{id:{type:"integer"}}}}};
eq(a.resolve({$ref:"#/$defs/e",description:"d"},root),{type:"string",format:"email",description:"d"});
eq(a.resolve({$ref:"#/$defs/a~1b"},root),{type:"integer"}); eq(a.resolve({$ref:"#/$defs/loop"},root),null); eq(a.resolve({$ref:"#/$defs/no"},root),null);
eq(a.resolve({$ref:"https://x"},root),null); eq(a.resolve({$ref:"#"},root),root); eq(a.resolve({$ref:"#/$defs/__proto__"},root),null);
eq(a.resolve({anyOf:[{$ref:"#/$defs/e"},{type:"null"}]},root).format,"email"); eq(a.resolve(true,root),{}); eq(a.resolve(false,root),null);
// kinds
const k=(s,v,d)=>a.kindOf(a.resolve(s,root),root,d,v);
eq(k({type:"string"}),"string"); eq(k({type:"string"},5),"json"); eq(k({type:["string","null"]},null),"string"); eq(k({enum:["a",1]}),"select"); eq(k({enum:["a"]},"b"),"json");
eq(k({type:"boolean"}),"select"); eq(k({type:"integer"},a.parse("9007199254740993")),"number"); eq(k({type:"array",items:{type:"string"}}),"lines"); eq(k({type:"array",items:{type:"string"}},["a\nb"]),"json");
eq(k({type:"array",items:{type:"integer"}}),"json"); eq(k({type:"array"}),"json"); eq(k({$ref:"#/entities/contact"}),"object"); eq(k({$ref:"#/entities/contact"},undefined,3),"object"); eq(k({$ref:"#/entities/contact"},undefined,4),"json");
eq(k({anyOf:[{type:"string"},{type:"integer"}]}),"json"); eq(k({type:["string","integer"]}),"json"); eq(k({}),"json"); eq(k({type:"object"}),"json"); eq(k({$ref:"#/x"}),"json");
// prefill
eq(plain(a.prefill({type:"object",required:["v"],properties:{v:{const:2},a:{default:1},b:{examples:["x","y"]},c:{type:"string"},o:{type:"object",properties:{z:{default:false},q:{}}},p:{type:"object",properties:{q:{}}}}},{})),{v:2,a:1,b:"x",o:{z:false}});
// curl through a real shell
const nasty = `{"a":"it's $HOME \`x\` \\"q\\" !! é\\n"}`;
const cmd = a.curl({url:"http://127.0.0.1:1/v1/connectors/a/actions/b",body:nasty,headers:{"x-path-params":"a=1&b=x%20y+z"}});
console.log(cmd);
const out = execFileSync("bash",["-c","curl() { printf '%s\\0' \"$@\"; }; "+cmd]).toString().split("\0").slice(0,-1);
eq(out,["-sS","http://127.0.0.1:1/v1/connectors/a/actions/b","-H","content-type: application/json","-H","x-path-params: a=1&b=x%20y+z","--data-raw",nasty]);
eq(a.shellQuote(""),"''");
// the rest
eq(a.timings('transform;dur=0.123, external;dur=10.5;desc="a,b.example", step.x;dur=1.000, total;dur=11.2'),[["transform",.123,""],["external",10.5,"a,b.example"],["step.x",1,""],["total",11.2,""]]);
eq(a.timings(null),[]); eq(a.place({file:"a.yaml",line:3,column:null}),"a.yaml:3"); eq(a.shortId("sha256:0123456789abcdef"),"0123456789ab"); eq(a.milliseconds(1234),"1.23 s");eq(a.milliseconds(.04),"under 0.1 ms");
eq(a.matches("orbit CREATE","orbit-crm","x",undefined,"Create"),true); eq(a.matches("zzz","o","x"),false);
eq(a.milliseconds(64_000),"1 min 4 s"); eq(a.milliseconds(3_720_000),"1 h 2 min");
// times
const base=Date.parse("2026-01-01T00:00:00Z");
for (const [time,text] of [["2026-01-01T00:00:00Z","now"],["2025-12-31T23:59:30Z","30 s ago"],["2025-12-31T23:00:00Z","1 h ago"],["2026-01-03T00:00:00Z","in 2 d"],["nonsense",""]]) eq(a.relative(time,base),text);
// routes
for (const [hash,parts,query] of [["",[],{}],["#/executions/7?status=Failed&text=a%20b",["executions","7"],{status:"Failed",text:"a b"}],["#/actions/a%2Fb/c",["actions","a/b","c"],{}],["#/%zz",["%zz"],{}]]) {
  const route=a.parseRoute(hash); eq(route.parts,parts); eq(Object.fromEntries(route.query),query);
}
eq(a.routeTo(["executions","a/b"],{status:"",text:"x y"}),"#/executions/a%2Fb?text=x+y"); eq(a.parseRoute(a.routeTo(["a/b"],{q:"1&2"})).query.get("q"),"1&2");
// steps
const step=(name,order,startedAt)=>({name,order,attempt:1,startedAt});
eq(a.nested([step("list/parcelo/get",1,"t2"),step("note 01b82868",3,"t3"),step("list",2,"t1"),step("note 01b82868 #2",4,"t4")]).map(({label,depth})=>[label,depth]),[["list",0],["parcelo/get",1],["note",0],["note #2",0]]);
eq(a.nested([step("a",1,"t1"),{...step("a/b",1,"t2"),attempt:2}]).map(({depth})=>depth),[0,0]); eq(a.nested([]),[]);
// backoff
const wait=new a.Backoff(1000,5000); eq([wait.unchanged(),wait.unchanged(),wait.failed(),wait.failed(),wait.changed()],[1500,2250,4500,5000,1000]);
eq(a.limits({type:"integer",minimum:1,maximum:100},"number"),"integer, 1 to 100"); eq(a.limits({type:"boolean"},"select"),"boolean");
console.log("unit ok");
