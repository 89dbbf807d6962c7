/*! hansard-web e4a1b3cd8476f92873cb7a925da2c324008b3ff06eed8614b0a5d9ba0ab45de1 */
/**
 * @license
 * Copyright 2019 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const Le=globalThis,ot=Le.ShadowRoot&&(Le.ShadyCSS===void 0||Le.ShadyCSS.nativeShadow)&&"adoptedStyleSheets"in Document.prototype&&"replace"in CSSStyleSheet.prototype,at=Symbol(),$t=new WeakMap;let Jt=class{constructor(e,s,i){if(this._$cssResult$=!0,i!==at)throw Error("CSSResult is not constructable. Use `unsafeCSS` or `css` instead.");this.cssText=e,this.t=s}get styleSheet(){let e=this.o;const s=this.t;if(ot&&e===void 0){const i=s!==void 0&&s.length===1;i&&(e=$t.get(s)),e===void 0&&((this.o=e=new CSSStyleSheet).replaceSync(this.cssText),i&&$t.set(s,e))}return e}toString(){return this.cssText}};const ds=t=>new Jt(typeof t=="string"?t:t+"",void 0,at),b=(t,...e)=>{const s=t.length===1?t[0]:e.reduce((i,n,r)=>i+(o=>{if(o._$cssResult$===!0)return o.cssText;if(typeof o=="number")return o;throw Error("Value passed to 'css' function must be a 'css' function result: "+o+". Use 'unsafeCSS' to pass non-literal values, but take care to ensure page security.")})(n)+t[r+1],t[0]);return new Jt(s,t,at)},ps=(t,e)=>{if(ot)t.adoptedStyleSheets=e.map(s=>s instanceof CSSStyleSheet?s:s.styleSheet);else for(const s of e){const i=document.createElement("style"),n=Le.litNonce;n!==void 0&&i.setAttribute("nonce",n),i.textContent=s.cssText,t.appendChild(i)}},yt=ot?t=>t:t=>t instanceof CSSStyleSheet?(e=>{let s="";for(const i of e.cssRules)s+=i.cssText;return ds(s)})(t):t;/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const{is:us,defineProperty:ms,getOwnPropertyDescriptor:gs,getOwnPropertyNames:fs,getOwnPropertySymbols:ws,getPrototypeOf:vs}=Object,We=globalThis,bt=We.trustedTypes,$s=bt?bt.emptyScript:"",ys=We.reactiveElementPolyfillSupport,be=(t,e)=>t,Ue={toAttribute(t,e){switch(e){case Boolean:t=t?$s:null;break;case Object:case Array:t=t==null?t:JSON.stringify(t)}return t},fromAttribute(t,e){let s=t;switch(e){case Boolean:s=t!==null;break;case Number:s=t===null?null:Number(t);break;case Object:case Array:try{s=JSON.parse(t)}catch{s=null}}return s}},lt=(t,e)=>!us(t,e),kt={attribute:!0,type:String,converter:Ue,reflect:!1,useDefault:!1,hasChanged:lt};Symbol.metadata??=Symbol("metadata"),We.litPropertyMetadata??=new WeakMap;let le=class extends HTMLElement{static addInitializer(e){this._$Ei(),(this.l??=[]).push(e)}static get observedAttributes(){return this.finalize(),this._$Eh&&[...this._$Eh.keys()]}static createProperty(e,s=kt){if(s.state&&(s.attribute=!1),this._$Ei(),this.prototype.hasOwnProperty(e)&&((s=Object.create(s)).wrapped=!0),this.elementProperties.set(e,s),!s.noAccessor){const i=Symbol(),n=this.getPropertyDescriptor(e,i,s);n!==void 0&&ms(this.prototype,e,n)}}static getPropertyDescriptor(e,s,i){const{get:n,set:r}=gs(this.prototype,e)??{get(){return this[s]},set(o){this[s]=o}};return{get:n,set(o){const c=n?.call(this);r?.call(this,o),this.requestUpdate(e,c,i)},configurable:!0,enumerable:!0}}static getPropertyOptions(e){return this.elementProperties.get(e)??kt}static _$Ei(){if(this.hasOwnProperty(be("elementProperties")))return;const e=vs(this);e.finalize(),e.l!==void 0&&(this.l=[...e.l]),this.elementProperties=new Map(e.elementProperties)}static finalize(){if(this.hasOwnProperty(be("finalized")))return;if(this.finalized=!0,this._$Ei(),this.hasOwnProperty(be("properties"))){const s=this.properties,i=[...fs(s),...ws(s)];for(const n of i)this.createProperty(n,s[n])}const e=this[Symbol.metadata];if(e!==null){const s=litPropertyMetadata.get(e);if(s!==void 0)for(const[i,n]of s)this.elementProperties.set(i,n)}this._$Eh=new Map;for(const[s,i]of this.elementProperties){const n=this._$Eu(s,i);n!==void 0&&this._$Eh.set(n,s)}this.elementStyles=this.finalizeStyles(this.styles)}static finalizeStyles(e){const s=[];if(Array.isArray(e)){const i=new Set(e.flat(1/0).reverse());for(const n of i)s.unshift(yt(n))}else e!==void 0&&s.push(yt(e));return s}static _$Eu(e,s){const i=s.attribute;return i===!1?void 0:typeof i=="string"?i:typeof e=="string"?e.toLowerCase():void 0}constructor(){super(),this._$Ep=void 0,this.isUpdatePending=!1,this.hasUpdated=!1,this._$Em=null,this._$Ev()}_$Ev(){this._$ES=new Promise(e=>this.enableUpdating=e),this._$AL=new Map,this._$E_(),this.requestUpdate(),this.constructor.l?.forEach(e=>e(this))}addController(e){(this._$EO??=new Set).add(e),this.renderRoot!==void 0&&this.isConnected&&e.hostConnected?.()}removeController(e){this._$EO?.delete(e)}_$E_(){const e=new Map,s=this.constructor.elementProperties;for(const i of s.keys())this.hasOwnProperty(i)&&(e.set(i,this[i]),delete this[i]);e.size>0&&(this._$Ep=e)}createRenderRoot(){const e=this.shadowRoot??this.attachShadow(this.constructor.shadowRootOptions);return ps(e,this.constructor.elementStyles),e}connectedCallback(){this.renderRoot??=this.createRenderRoot(),this.enableUpdating(!0),this._$EO?.forEach(e=>e.hostConnected?.())}enableUpdating(e){}disconnectedCallback(){this._$EO?.forEach(e=>e.hostDisconnected?.())}attributeChangedCallback(e,s,i){this._$AK(e,i)}_$ET(e,s){const i=this.constructor.elementProperties.get(e),n=this.constructor._$Eu(e,i);if(n!==void 0&&i.reflect===!0){const r=(i.converter?.toAttribute!==void 0?i.converter:Ue).toAttribute(s,i.type);this._$Em=e,r==null?this.removeAttribute(n):this.setAttribute(n,r),this._$Em=null}}_$AK(e,s){const i=this.constructor,n=i._$Eh.get(e);if(n!==void 0&&this._$Em!==n){const r=i.getPropertyOptions(n),o=typeof r.converter=="function"?{fromAttribute:r.converter}:r.converter?.fromAttribute!==void 0?r.converter:Ue;this._$Em=n;const c=o.fromAttribute(s,r.type);this[n]=c??this._$Ej?.get(n)??c,this._$Em=null}}requestUpdate(e,s,i,n=!1,r){if(e!==void 0){const o=this.constructor;if(n===!1&&(r=this[e]),i??=o.getPropertyOptions(e),!((i.hasChanged??lt)(r,s)||i.useDefault&&i.reflect&&r===this._$Ej?.get(e)&&!this.hasAttribute(o._$Eu(e,i))))return;this.C(e,s,i)}this.isUpdatePending===!1&&(this._$ES=this._$EP())}C(e,s,{useDefault:i,reflect:n,wrapped:r},o){i&&!(this._$Ej??=new Map).has(e)&&(this._$Ej.set(e,o??s??this[e]),r!==!0||o!==void 0)||(this._$AL.has(e)||(this.hasUpdated||i||(s=void 0),this._$AL.set(e,s)),n===!0&&this._$Em!==e&&(this._$Eq??=new Set).add(e))}async _$EP(){this.isUpdatePending=!0;try{await this._$ES}catch(s){Promise.reject(s)}const e=this.scheduleUpdate();return e!=null&&await e,!this.isUpdatePending}scheduleUpdate(){return this.performUpdate()}performUpdate(){if(!this.isUpdatePending)return;if(!this.hasUpdated){if(this.renderRoot??=this.createRenderRoot(),this._$Ep){for(const[n,r]of this._$Ep)this[n]=r;this._$Ep=void 0}const i=this.constructor.elementProperties;if(i.size>0)for(const[n,r]of i){const{wrapped:o}=r,c=this[n];o!==!0||this._$AL.has(n)||c===void 0||this.C(n,void 0,r,c)}}let e=!1;const s=this._$AL;try{e=this.shouldUpdate(s),e?(this.willUpdate(s),this._$EO?.forEach(i=>i.hostUpdate?.()),this.update(s)):this._$EM()}catch(i){throw e=!1,this._$EM(),i}e&&this._$AE(s)}willUpdate(e){}_$AE(e){this._$EO?.forEach(s=>s.hostUpdated?.()),this.hasUpdated||(this.hasUpdated=!0,this.firstUpdated(e)),this.updated(e)}_$EM(){this._$AL=new Map,this.isUpdatePending=!1}get updateComplete(){return this.getUpdateComplete()}getUpdateComplete(){return this._$ES}shouldUpdate(e){return!0}update(e){this._$Eq&&=this._$Eq.forEach(s=>this._$ET(s,this[s])),this._$EM()}updated(e){}firstUpdated(e){}};le.elementStyles=[],le.shadowRootOptions={mode:"open"},le[be("elementProperties")]=new Map,le[be("finalized")]=new Map,ys?.({ReactiveElement:le}),(We.reactiveElementVersions??=[]).push("2.1.2");/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const ct=globalThis,_t=t=>t,qe=ct.trustedTypes,xt=qe?qe.createPolicy("lit-html",{createHTML:t=>t}):void 0,Yt="$lit$",V=`lit$${Math.random().toFixed(9).slice(2)}$`,Gt="?"+V,bs=`<${Gt}>`,Z=document,_e=()=>Z.createComment(""),xe=t=>t===null||typeof t!="object"&&typeof t!="function",ht=Array.isArray,ks=t=>ht(t)||typeof t?.[Symbol.iterator]=="function",Qe=`[ 	
\f\r]`,$e=/<(?:(!--|\/[^a-zA-Z])|(\/?[a-zA-Z][^>\s]*)|(\/?$))/g,St=/-->/g,At=/>/g,J=RegExp(`>|${Qe}(?:([^\\s"'>=/]+)(${Qe}*=${Qe}*(?:[^ 	
\f\r"'\`<>=]|("|')|))|$)`,"g"),Mt=/'/g,Tt=/"/g,Kt=/^(?:script|style|textarea|title)$/i,Zt=t=>(e,...s)=>({_$litType$:t,strings:e,values:s}),l=Zt(1),M=Zt(2),X=Symbol.for("lit-noChange"),d=Symbol.for("lit-nothing"),Ot=new WeakMap,K=Z.createTreeWalker(Z,129);function Xt(t,e){if(!ht(t)||!t.hasOwnProperty("raw"))throw Error("invalid template strings array");return xt!==void 0?xt.createHTML(e):e}const _s=(t,e)=>{const s=t.length-1,i=[];let n,r=e===2?"<svg>":e===3?"<math>":"",o=$e;for(let c=0;c<s;c++){const h=t[c];let g,w,m=-1,f=0;for(;f<h.length&&(o.lastIndex=f,w=o.exec(h),w!==null);)f=o.lastIndex,o===$e?w[1]==="!--"?o=St:w[1]!==void 0?o=At:w[2]!==void 0?(Kt.test(w[2])&&(n=RegExp("</"+w[2],"g")),o=J):w[3]!==void 0&&(o=J):o===J?w[0]===">"?(o=n??$e,m=-1):w[1]===void 0?m=-2:(m=o.lastIndex-w[2].length,g=w[1],o=w[3]===void 0?J:w[3]==='"'?Tt:Mt):o===Tt||o===Mt?o=J:o===St||o===At?o=$e:(o=J,n=void 0);const v=o===J&&t[c+1].startsWith("/>")?" ":"";r+=o===$e?h+bs:m>=0?(i.push(g),h.slice(0,m)+Yt+h.slice(m)+V+v):h+V+(m===-2?c:v)}return[Xt(t,r+(t[s]||"<?>")+(e===2?"</svg>":e===3?"</math>":"")),i]};class Se{constructor({strings:e,_$litType$:s},i){let n;this.parts=[];let r=0,o=0;const c=e.length-1,h=this.parts,[g,w]=_s(e,s);if(this.el=Se.createElement(g,i),K.currentNode=this.el.content,s===2||s===3){const m=this.el.content.firstChild;m.replaceWith(...m.childNodes)}for(;(n=K.nextNode())!==null&&h.length<c;){if(n.nodeType===1){if(n.hasAttributes())for(const m of n.getAttributeNames())if(m.endsWith(Yt)){const f=w[o++],v=n.getAttribute(m).split(V),y=/([.?@])?(.*)/.exec(f);h.push({type:1,index:r,name:y[2],strings:v,ctor:y[1]==="."?Ss:y[1]==="?"?As:y[1]==="@"?Ms:Ve}),n.removeAttribute(m)}else m.startsWith(V)&&(h.push({type:6,index:r}),n.removeAttribute(m));if(Kt.test(n.tagName)){const m=n.textContent.split(V),f=m.length-1;if(f>0){n.textContent=qe?qe.emptyScript:"";for(let v=0;v<f;v++)n.append(m[v],_e()),K.nextNode(),h.push({type:2,index:++r});n.append(m[f],_e())}}}else if(n.nodeType===8)if(n.data===Gt)h.push({type:2,index:r});else{let m=-1;for(;(m=n.data.indexOf(V,m+1))!==-1;)h.push({type:7,index:r}),m+=V.length-1}r++}}static createElement(e,s){const i=Z.createElement("template");return i.innerHTML=e,i}}function de(t,e,s=t,i){if(e===X)return e;let n=i!==void 0?s._$Co?.[i]:s._$Cl;const r=xe(e)?void 0:e._$litDirective$;return n?.constructor!==r&&(n?._$AO?.(!1),r===void 0?n=void 0:(n=new r(t),n._$AT(t,s,i)),i!==void 0?(s._$Co??=[])[i]=n:s._$Cl=n),n!==void 0&&(e=de(t,n._$AS(t,e.values),n,i)),e}class xs{constructor(e,s){this._$AV=[],this._$AN=void 0,this._$AD=e,this._$AM=s}get parentNode(){return this._$AM.parentNode}get _$AU(){return this._$AM._$AU}u(e){const{el:{content:s},parts:i}=this._$AD,n=(e?.creationScope??Z).importNode(s,!0);K.currentNode=n;let r=K.nextNode(),o=0,c=0,h=i[0];for(;h!==void 0;){if(o===h.index){let g;h.type===2?g=new we(r,r.nextSibling,this,e):h.type===1?g=new h.ctor(r,h.name,h.strings,this,e):h.type===6&&(g=new Ts(r,this,e)),this._$AV.push(g),h=i[++c]}o!==h?.index&&(r=K.nextNode(),o++)}return K.currentNode=Z,n}p(e){let s=0;for(const i of this._$AV)i!==void 0&&(i.strings!==void 0?(i._$AI(e,i,s),s+=i.strings.length-2):i._$AI(e[s])),s++}}class we{get _$AU(){return this._$AM?._$AU??this._$Cv}constructor(e,s,i,n){this.type=2,this._$AH=d,this._$AN=void 0,this._$AA=e,this._$AB=s,this._$AM=i,this.options=n,this._$Cv=n?.isConnected??!0}get parentNode(){let e=this._$AA.parentNode;const s=this._$AM;return s!==void 0&&e?.nodeType===11&&(e=s.parentNode),e}get startNode(){return this._$AA}get endNode(){return this._$AB}_$AI(e,s=this){e=de(this,e,s),xe(e)?e===d||e==null||e===""?(this._$AH!==d&&this._$AR(),this._$AH=d):e!==this._$AH&&e!==X&&this._(e):e._$litType$!==void 0?this.$(e):e.nodeType!==void 0?this.T(e):ks(e)?this.k(e):this._(e)}O(e){return this._$AA.parentNode.insertBefore(e,this._$AB)}T(e){this._$AH!==e&&(this._$AR(),this._$AH=this.O(e))}_(e){this._$AH!==d&&xe(this._$AH)?this._$AA.nextSibling.data=e:this.T(Z.createTextNode(e)),this._$AH=e}$(e){const{values:s,_$litType$:i}=e,n=typeof i=="number"?this._$AC(e):(i.el===void 0&&(i.el=Se.createElement(Xt(i.h,i.h[0]),this.options)),i);if(this._$AH?._$AD===n)this._$AH.p(s);else{const r=new xs(n,this),o=r.u(this.options);r.p(s),this.T(o),this._$AH=r}}_$AC(e){let s=Ot.get(e.strings);return s===void 0&&Ot.set(e.strings,s=new Se(e)),s}k(e){ht(this._$AH)||(this._$AH=[],this._$AR());const s=this._$AH;let i,n=0;for(const r of e)n===s.length?s.push(i=new we(this.O(_e()),this.O(_e()),this,this.options)):i=s[n],i._$AI(r),n++;n<s.length&&(this._$AR(i&&i._$AB.nextSibling,n),s.length=n)}_$AR(e=this._$AA.nextSibling,s){for(this._$AP?.(!1,!0,s);e!==this._$AB;){const i=_t(e).nextSibling;_t(e).remove(),e=i}}setConnected(e){this._$AM===void 0&&(this._$Cv=e,this._$AP?.(e))}}class Ve{get tagName(){return this.element.tagName}get _$AU(){return this._$AM._$AU}constructor(e,s,i,n,r){this.type=1,this._$AH=d,this._$AN=void 0,this.element=e,this.name=s,this._$AM=n,this.options=r,i.length>2||i[0]!==""||i[1]!==""?(this._$AH=Array(i.length-1).fill(new String),this.strings=i):this._$AH=d}_$AI(e,s=this,i,n){const r=this.strings;let o=!1;if(r===void 0)e=de(this,e,s,0),o=!xe(e)||e!==this._$AH&&e!==X,o&&(this._$AH=e);else{const c=e;let h,g;for(e=r[0],h=0;h<r.length-1;h++)g=de(this,c[i+h],s,h),g===X&&(g=this._$AH[h]),o||=!xe(g)||g!==this._$AH[h],g===d?e=d:e!==d&&(e+=(g??"")+r[h+1]),this._$AH[h]=g}o&&!n&&this.j(e)}j(e){e===d?this.element.removeAttribute(this.name):this.element.setAttribute(this.name,e??"")}}class Ss extends Ve{constructor(){super(...arguments),this.type=3}j(e){this.element[this.name]=e===d?void 0:e}}class As extends Ve{constructor(){super(...arguments),this.type=4}j(e){this.element.toggleAttribute(this.name,!!e&&e!==d)}}class Ms extends Ve{constructor(e,s,i,n,r){super(e,s,i,n,r),this.type=5}_$AI(e,s=this){if((e=de(this,e,s,0)??d)===X)return;const i=this._$AH,n=e===d&&i!==d||e.capture!==i.capture||e.once!==i.once||e.passive!==i.passive,r=e!==d&&(i===d||n);n&&this.element.removeEventListener(this.name,this,i),r&&this.element.addEventListener(this.name,this,e),this._$AH=e}handleEvent(e){typeof this._$AH=="function"?this._$AH.call(this.options?.host??this.element,e):this._$AH.handleEvent(e)}}class Ts{constructor(e,s,i){this.element=e,this.type=6,this._$AN=void 0,this._$AM=s,this.options=i}get _$AU(){return this._$AM._$AU}_$AI(e){de(this,e)}}const Os={I:we},Ps=ct.litHtmlPolyfillSupport;Ps?.(Se,we),(ct.litHtmlVersions??=[]).push("3.3.3");const Es=(t,e,s)=>{const i=s?.renderBefore??e;let n=i._$litPart$;if(n===void 0){const r=s?.renderBefore??null;i._$litPart$=n=new we(e.insertBefore(_e(),r),r,void 0,s??{})}return n._$AI(t),n};/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const dt=globalThis;let ke=class extends le{constructor(){super(...arguments),this.renderOptions={host:this},this._$Do=void 0}createRenderRoot(){const e=super.createRenderRoot();return this.renderOptions.renderBefore??=e.firstChild,e}update(e){const s=this.render();this.hasUpdated||(this.renderOptions.isConnected=this.isConnected),super.update(e),this._$Do=Es(s,this.renderRoot,this.renderOptions)}connectedCallback(){super.connectedCallback(),this._$Do?.setConnected(!0)}disconnectedCallback(){super.disconnectedCallback(),this._$Do?.setConnected(!1)}render(){return X}};ke._$litElement$=!0,ke.finalized=!0,dt.litElementHydrateSupport?.({LitElement:ke});const Cs=dt.litElementPolyfillSupport;Cs?.({LitElement:ke});(dt.litElementVersions??=[]).push("4.2.2");/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const k=t=>(e,s)=>{s!==void 0?s.addInitializer(()=>{customElements.define(t,e)}):customElements.define(t,e)};/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const Ns={attribute:!0,type:String,converter:Ue,reflect:!1,hasChanged:lt},Ds=(t=Ns,e,s)=>{const{kind:i,metadata:n}=s;let r=globalThis.litPropertyMetadata.get(n);if(r===void 0&&globalThis.litPropertyMetadata.set(n,r=new Map),i==="setter"&&((t=Object.create(t)).wrapped=!0),r.set(s.name,t),i==="accessor"){const{name:o}=s;return{set(c){const h=e.get.call(this);e.set.call(this,c),this.requestUpdate(o,h,t,!0,c)},init(c){return c!==void 0&&this.C(o,void 0,t,c),c}}}if(i==="setter"){const{name:o}=s;return function(c){const h=this[o];e.call(this,c),this.requestUpdate(o,h,t,!0,c)}}throw Error("Unsupported decorator location: "+i)};function p(t){return(e,s)=>typeof s=="object"?Ds(t,e,s):((i,n,r)=>{const o=n.hasOwnProperty(r);return n.constructor.createProperty(r,i),o?Object.getOwnPropertyDescriptor(n,r):void 0})(t,e,s)}/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */function u(t){return p({...t,state:!0,attribute:!1})}function Oe(t,e){try{const s=t.getItem(e);return s===null?null:JSON.parse(s)}catch{return null}}function Pe(t,e,s){try{s===null?t.removeItem(e):t.setItem(e,JSON.stringify(s))}catch{}}const Pt=t=>`hansard.seat.${t}`,ce={read:t=>Oe(sessionStorage,Pt(t)),write:(t,e)=>Pe(sessionStorage,Pt(t),e)},Et=t=>`hansard.guest.${t}`,ze={read:t=>Oe(localStorage,Et(t)),write:(t,e)=>Pe(localStorage,Et(t),e)},Ct={read:()=>Oe(localStorage,"hansard.name")??"",write:t=>Pe(localStorage,"hansard.name",t)},Nt={read:()=>({size:1,contrast:!1,latency:!1,history:!0,...Oe(localStorage,"hansard.captions")}),write:t=>Pe(localStorage,"hansard.captions",t)},it={read:()=>Oe(localStorage,"hansard.original-sound")??!1,write:t=>Pe(localStorage,"hansard.original-sound",t)};class E extends Error{constructor(e,s,i,n=[],r=0){super(i),this.status=e,this.kind=s,this.detail=i,this.errors=n,this.retryAfterS=r}}class ve{constructor(e,s=null){this.root=e,this.token=s}with(e){return new ve(this.root,e)}get(e,s){return this.call("GET",e,void 0,{signal:s})}post(e,s,i,n){return this.call("POST",e,s,{key:i,signal:n})}put(e){return this.call("PUT",e,void 0,{})}async text(e){return(await this.send("GET",e,void 0,{})).text()}async delete(e){await this.call("DELETE",e,void 0,{})}async all(e){const s=[];let i=null;do{const n=i===null?"":`&cursor=${encodeURIComponent(i)}`,r=await this.get(`${e}?limit=200${n}`);s.push(...r.data),i=r.nextCursor}while(i!==null);return s}async call(e,s,i,n){const r=await this.send(e,s,i,n);return r.status===204?void 0:await r.json()}async send(e,s,i,{key:n,signal:r}){const o={};this.token!==null&&(o.authorization=`Bearer ${this.token}`),i!==void 0&&(o["content-type"]="application/json"),n!==void 0&&(o["idempotency-key"]=n);let c;try{c=await fetch(`${this.root}${s}`,{method:e,headers:o,body:i===void 0?null:JSON.stringify(i),credentials:this.token===null?"same-origin":"omit",cache:"no-store",signal:r??null})}catch(h){throw new E(0,"unreachable",h instanceof Error?h.message:String(h))}if(!c.ok)throw await js(c);return c}}async function js(t){const e=await t.json().catch(()=>({})),s=typeof e.type=="string"?e.type.split("/").pop():"",i=typeof e.detail=="string"?e.detail:t.statusText,n=Number(t.headers.get("retry-after")??0);return new E(t.status,s,i,e.errors??[],Number.isFinite(n)?n:0)}function Ae({recording:t,aiEnabled:e}){return[...t==="off"?[]:["recording"],...e?["transcription"]:[]]}const Is=b`
    :host {
        --ground: #f6f7f9;
        --card: #ffffff;
        --line: #d5dae1;
        --edge: #7a8494;
        --text: #1b1f24;
        --quiet: #56606d;
        --accent: #0b57d0;
        --accent-text: #ffffff;
        --accent-soft: #e6eefc;
        --danger: #b3261e;
        --danger-text: #ffffff;
        --danger-soft: #fceeed;
        --good: #146c2e;
        --good-soft: #e7f4ea;
        --warn: #7a5200;
        --warn-soft: #fff4dc;
        --radius: 0.75rem;
        font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
        color: var(--text);
        color-scheme: light dark;
    }
    @media (prefers-color-scheme: dark) {
        :host {
            --ground: #14171b;
            --card: #1e2227;
            --line: #363c44;
            --edge: #8d96a3;
            --text: #e8eaed;
            --quiet: #a9b2be;
            --accent: #8ab4f8;
            --accent-text: #0d1117;
            --accent-soft: #22324a;
            --danger: #f2a39c;
            --danger-text: #2b0906;
            --danger-soft: #3c2221;
            --good: #8fd6a4;
            --good-soft: #1d3325;
            --warn: #f0c674;
            --warn-soft: #3a2f17;
        }
    }
`,Rs=b`
    *,
    *::before,
    *::after {
        box-sizing: border-box;
    }
    [hidden] {
        display: none !important;
    }
    h1,
    h2,
    h3 {
        line-height: 1.25;
        margin: 0;
        font-weight: 650;
    }
    h1 {
        font-size: 1.6rem;
    }
    h2 {
        font-size: 1.1rem;
    }
    h3 {
        font-size: 1rem;
    }
    p {
        margin: 0;
    }
    a {
        color: var(--accent);
    }
    button,
    input,
    select {
        font: inherit;
        color: inherit;
    }
    button,
    a.button {
        display: inline-flex;
        align-items: center;
        justify-content: center;
        gap: 0.5rem;
        min-height: 2.5rem;
        padding: 0.4rem 0.9rem;
        border: 1px solid var(--edge);
        border-radius: 0.6rem;
        background: var(--card);
        color: var(--text);
        cursor: pointer;
        text-decoration: none;
        white-space: nowrap;
    }
    button:hover:not(:disabled),
    a.button:hover {
        background: var(--accent-soft);
    }
    button.primary,
    a.button.primary {
        background: var(--accent);
        border-color: var(--accent);
        color: var(--accent-text);
        font-weight: 600;
    }
    button.primary:hover:not(:disabled),
    a.button.primary:hover {
        filter: brightness(1.08);
        background: var(--accent);
    }
    button.danger {
        border-color: var(--danger);
        color: var(--danger);
    }
    button.danger.sure {
        background: var(--danger);
        color: var(--danger-text);
    }
    button.plain {
        border-color: transparent;
        background: none;
        color: var(--accent);
        padding-inline: 0.5rem;
    }
    button:disabled {
        opacity: 0.6;
        cursor: default;
    }
    button[aria-pressed="true"] {
        background: var(--accent-soft);
        border-color: var(--accent);
    }
    input:not([type="radio"], [type="checkbox"], [type="range"]),
    select {
        min-height: 2.5rem;
        padding: 0.4rem 0.7rem;
        border: 1px solid var(--edge);
        border-radius: 0.6rem;
        background: var(--card);
        color: var(--text);
        max-width: 100%;
    }
    input[type="radio"],
    input[type="checkbox"] {
        accent-color: var(--accent);
        width: 1.15rem;
        height: 1.15rem;
        margin: 0;
    }
    input[type="range"] {
        accent-color: var(--accent);
    }
    :focus-visible {
        outline: 3px solid var(--accent);
        outline-offset: 2px;
    }
    svg {
        width: 1.25em;
        height: 1.25em;
        flex: none;
        fill: none;
        stroke: currentColor;
        stroke-width: 2;
        stroke-linecap: round;
        stroke-linejoin: round;
    }
    .card {
        background: var(--card);
        border: 1px solid var(--line);
        border-radius: var(--radius);
        padding: 1.25rem;
    }
    .quiet {
        color: var(--quiet);
    }
    .small {
        font-size: 0.9rem;
    }
    .note {
        border-radius: 0.6rem;
        padding: 0.7rem 0.9rem;
        background: var(--accent-soft);
    }
    .note.bad {
        background: var(--danger-soft);
        color: var(--danger);
    }
    .note.warn {
        background: var(--warn-soft);
        color: var(--warn);
    }
    .note.good {
        background: var(--good-soft);
        color: var(--good);
    }
    .row {
        display: flex;
        flex-wrap: wrap;
        align-items: center;
        gap: 0.6rem;
    }
    .unseen {
        position: absolute;
        width: 1px;
        height: 1px;
        overflow: hidden;
        clip-path: inset(50%);
        white-space: nowrap;
    }
    .page {
        min-height: 100vh;
        background: var(--ground);
        padding: 1.5rem 1rem 3rem;
    }
    .narrow {
        max-width: 34rem;
        margin: 0 auto;
        display: grid;
        gap: 1rem;
    }
    .wide {
        max-width: 64rem;
        margin: 0 auto;
        display: grid;
        gap: 1rem;
    }
    @media (prefers-reduced-motion: reduce) {
        * {
            transition: none !important;
            animation: none !important;
        }
    }
`;class $ extends ke{static{this.styles=[Is,Rs]}tell(e,s=void 0){this.dispatchEvent(new CustomEvent(e,{detail:s,bubbles:!0,composed:!0}))}async focusOn(e){await this.updateComplete,this.renderRoot.querySelector(e)?.focus()}}const Bs={code:"de",product:"Hansard",retry:"Noch einmal versuchen",cancel:"Abbrechen",loading:"Wird geladen …",and:"und",join:{title:t=>`Besprechung von ${t}`,titlePlain:"An der Besprechung teilnehmen",lead:"Entscheide, was von dir aufbewahrt werden darf, und tritt dann bei. Du kannst es jederzeit ändern.",name:"Dein Name",nameHint:"Alle in der Besprechung sehen ihn.",nameMissing:"Gib einen Namen ein.",again:t=>`Du kommst zurück als ${t}.`,notYou:"Jemand anderes?",password:"Passwort der Besprechung",passwordMissing:"Diese Besprechung verlangt ein Passwort.",passwordWrong:"Das Passwort ist falsch.",microphone:"Mikrofon",microphoneOff:"Ohne Mikrofon teilnehmen",microphoneAllow:"Mikrofon erlauben",microphoneAsk:"Der Browser fragt einmal, ob diese Seite es benutzen darf. Vor dem Beitritt wird nichts gesendet.",microphoneLevel:"Pegel deines Mikrofons",microphoneOriginal:"Ich trage Kopfhörer: meinen Ton unverändert senden, ohne Echounterdrückung",microphoneSpeak:"Sag etwas: Der Balken bewegt sich, wenn man dich hört.",consentTitle:"Was von dir aufbewahrt werden darf",consentIntro:t=>`${t} leitet diese Besprechung und hat Zugriff auf das, was aufbewahrt wird. Ohne deine Zustimmung wird nichts von dir gespeichert: weder Ton noch Worte.`,recording:"Tonaufnahme",recordingWhat:"Deine Stimme wird aufgenommen, als eigene Spur und in der Mischung der Besprechung.",transcription:"Mitschrift und Untertitel",transcriptionWhat:"Was du sagst, wird aufgeschrieben, allen als Untertitel gezeigt und als Mitschrift aufbewahrt.",nothingKept:"Diese Besprechung wird weder aufgenommen noch mitgeschrieben.",agree:"Zustimmen",decline:"Ablehnen",choose:"Wähle eines von beiden.",policyExclude:"Lehnst du ab, hört man dich in der Besprechung, aber es wird nichts von dir aufbewahrt.",policyAll:"Lehnst du ab, wird von niemandem etwas aufbewahrt, solange du da bist.",policyRequired:"Alle müssen hier zustimmen. Lehnst du ab, kannst du nicht teilnehmen.",join:"Beitreten",joining:"Beitritt …",required:t=>`Um teilzunehmen, musst du zustimmen: ${t}.`,statementRecording:t=>`Ich stimme zu, dass meine Stimme in dieser Besprechung von ${t} aufgenommen wird. Ich kann das jederzeit widerrufen.`,statementTranscription:t=>`Ich stimme zu, dass das, was ich in dieser Besprechung von ${t} sage, mitgeschrieben, als Untertitel gezeigt und als Mitschrift aufbewahrt wird. Ich kann das jederzeit widerrufen.`},device:{insecure:"Diese Seite hat weder https noch localhost, deshalb gibt ihr der Browser kein Mikrofon. Öffne sie unter ihrer https-Adresse.",blocked:"Der Browser sperrt das Mikrofon für diese Seite. Erlaube es beim Symbol neben der Adresse und versuche es noch einmal.",none:"Es wurde kein Mikrofon gefunden. Schließe eines an und versuche es noch einmal, oder tritt ohne bei.",busy:"Ein anderes Programm benutzt das Mikrofon. Schließe es dort und versuche es noch einmal.",failed:t=>`Das Mikrofon startet nicht: ${t}`,gone:"Das Mikrofon wurde getrennt. Man hört dich nicht, bis du ein anderes wählst."},fault:{title:"Das hat nicht geklappt",over:"Diese Besprechung ist vorbei",overText:"Niemand kann mehr beitreten.",full:"Der Server ist gerade voll oder beschäftigt. Versuche es in einer Minute noch einmal.",linkGone:"Dieser Link gilt nicht mehr",linkGoneText:"Er ist abgelaufen, wurde geschlossen oder ist nicht vollständig. Bitte um einen neuen.",linkClosed:"Dieser Link wurde für neue Gäste geschlossen. Bitte um einen neuen.",linkMissing:"Diese Adresse ist nicht vollständig",linkMissingText:"Der Link, den du bekommen hast, hat einen Teil hinter einem #. Öffne ihn ganz, oder melde dich mit dem Link deiner Anwendung an, wenn du die Besprechung leitest.",deleted:"Diese Besprechung wurde gelöscht.",removed:"Du wurdest aus dieser Besprechung entfernt",removedText:"Die Leitung, oder das, wozu du zugestimmt hast, lässt dich nicht teilnehmen.",left:"Du hast die Besprechung verlassen",ended:"Die Besprechung ist zu Ende",endedText:"Aufnahme und Mitschrift werden jetzt für die Leitung erstellt.",leftText:"Mit demselben Link kommst du zurück.",replaced:"Die Besprechung ist in einem anderen Tab offen",replacedText:"Nur ein Tab nimmt als du teil. Dieser hat aufgehört.",here:"Hier teilnehmen",again:"Zurückkommen",many:"Zu viele Anfragen. Warte einen Moment und versuche es noch einmal.",unreachable:"Der Server antwortet nicht. Prüfe deine Verbindung.",socket:"Die Verbindung zur Besprechung kommt nicht zustande. Ein Firmen-Proxy sperrt vielleicht WebSockets: Versuche ein anderes Netz.",ice:"Der Ton kommt nicht zum Server durch. Eine Firewall sperrt vielleicht UDP: Versuche ein anderes Netz oder schalte ein VPN aus.",noWebrtc:"Dieser Server nimmt keinen Ton von Browsern an. Untertitel kannst du hier lesen.",consentAway:"Das kann gerade nicht festgehalten werden. Solange wird nichts von dir aufbewahrt.",other:t=>t},room:{people:"Teilnehmende",speaks:"spricht",mutedState:"stumm",paused:"Kein Bild: Netz zu langsam",mute:"Stumm schalten",unmute:"Ton an",noMicrophone:"Kein Mikrofon",captionsShow:"Untertitel zeigen",captionsHide:"Untertitel ausblenden",leave:"Verlassen",end:"Für alle beenden",endSure:"Die Besprechung für alle beenden?",remove:t=>`${t} entfernen`,removeSure:t=>`${t} aus der Besprechung entfernen?`,yes:"Ja",copyLink:"Einladung kopieren",copied:"Der Link ist in der Zwischenablage.",linkIs:"Einladung:",you:t=>`${t} (du)`,alone:"Du bist bisher allein hier.",connecting:"Verbindung wird aufgebaut …",reconnecting:"Die Verbindung ist abgerissen. Sie wird neu aufgebaut …",audioBlocked:"Der Browser spielt keinen Ton ab, bevor du eine Taste drückst.",playAudio:"Ton abspielen",kept:"Aufgenommen, mitgeschrieben",notKept:"Nichts aufbewahrt",recorded:"Aufgenommen",transcribed:"Mitgeschrieben",notRecorded:"Nicht aufgenommen",notTranscribed:"Nicht mitgeschrieben",stateOff:"Diese Besprechung wird nicht aufgenommen.",stateWaiting:"Es wird nichts aufgenommen: Noch hat niemand zugestimmt.",statePausedFor:(t,e)=>`Die Aufnahme pausiert${e}: Die Zustimmung von ${t} fehlt.`,statePausedDisk:t=>`Die Aufnahme pausiert${t}: Der Server kann gerade nicht schreiben.`,stateBoth:t=>`Aufgenommen und mitgeschrieben${t}.`,stateRecording:t=>`Aufgenommen${t}.`,stateTranscribing:t=>`Mitgeschrieben${t}.`,stateNotTranscribing:"Nicht mitgeschrieben.",stateSince:t=>` seit ${t}`,nameSince:(t,e)=>e===""?t:`${t} (${e.trim()})`,stateNot:t=>`Nichts aufbewahrt wird von ${t}.`,stateNotRecorded:t=>`Nicht aufgenommen: ${t}.`,stateNotTranscribed:t=>`Nicht mitgeschrieben: ${t}.`,stateUnrecorded:t=>`Geht gerade verloren, trotz Zustimmung: ${t}.`,camera:"Kamera an",cameraOff:"Kamera aus",screen:"Bildschirm teilen",screenOff:"Nicht mehr teilen",pictureFailed:t=>`Das Bild startet nicht: ${t}`,screenOf:t=>`Bildschirm von ${t}`},consent:{title:"Was von dir aufbewahrt wird",recording:"Tonaufnahme",transcription:"Mitschrift und Untertitel",accepted:"zugestimmt",declined:"abgelehnt",withdrawn:"widerrufen",none:"nicht zugestimmt",agree:"Zustimmen",withdraw:"Widerrufen",withdrawAll:"Nichts mehr von mir aufbewahren",withdrawNow:"Nicht mehr aufbewahren",working:"Wird widerrufen: Bis das sicher ist, sendest du keinen Ton.",granting:"Wird festgehalten …",since:t=>`seit ${t}`,off:"nicht in dieser Besprechung"},captions:{title:"Untertitel",empty:"Hier erscheint, was gesagt wird, von allen, die zugestimmt haben.",history:"Mitschrift bisher",size:"Größe",smaller:"Kleinere Untertitel",larger:"Größere Untertitel",contrast:"Hoher Kontrast",latency:"Verzögerung zeigen",bundled:"Vom kleinen Testmodell, das 650 englische Wörter in drei künstlichen Stimmen kennt: Was echte Stimmen sagen, kommt falsch heraus.",latencyOf:t=>`${t} s später`},host:{title:"Deine Besprechungen",search:"Name",searchHint:"Jemand, der dabei war",from:"Von",to:"Bis",none:"Es gibt noch keine Besprechungen.",noneFound:"Nichts gefunden.",more:"Frühere Besprechungen",status:{scheduled:"geplant",live:"läuft",ended:"beendet"},enter:"In den Raum",open:"Öffnen",back:"Alle Besprechungen",meetingOf:t=>`Besprechung vom ${t}`,participants:"Mit",recordings:"Aufnahmen",noRecordings:"Es wurde nichts aufgenommen.",live:"Die Besprechung läuft noch. Ihre Dateien entstehen nach dem Ende.",mix:"Alle",track:t=>t,download:"Herunterladen",delete:"Löschen",deleteSure:t=>`„${t}“ endgültig löschen? Jede Kopie verschwindet.`,deleteYes:"Endgültig löschen",deleteMeeting:"Besprechung löschen",deleteMeetingSure:"Alle Aufnahmen und Worte dieser Besprechung endgültig löschen? Nur das Verzeichnis der Zustimmungen bleibt.",deleted:"Gelöscht.",restore:"Aus dem Archiv holen",restoring:"Wird aus dem Archiv geholt",restoreBy:t=>`Fertig etwa ${t}.`,states:{recording:"wird aufgenommen",processing:"wird erstellt",ready:"fertig",failed:"fehlgeschlagen",deleting:"wird gelöscht"},tiers:{hot:"frisch",warm:"gelagert",cold:"weggelegt",archive:"archiviert"},waitingFor:{storage:"wartet auf den Speicher",database:"wartet auf die Datenbank",disk:"wartet auf Speicherplatz"},expires:t=>`Wird am ${t} gelöscht`,tryAgain:"Neu erstellen",signedOut:"Deine Sitzung ist abgelaufen",signedOutText:"Öffne einen neuen Link aus deiner Anwendung."},player:{play:"Abspielen",pause:"Anhalten",back:"10 Sekunden zurück",forward:"10 Sekunden vor",speed:"Tempo",seek:"Stelle in der Aufnahme",at:(t,e)=>`${t} von ${e}`,speakers:"Zu hören",transcript:"Mitschrift",transcriptNone:"Es gibt keine Worte.",transcriptIncomplete:"Die Mitschrift ist noch nicht vollständig.",search:"In der Mitschrift suchen",hits:t=>t===1?"1 Stelle":`${t} Stellen`,next:"Nächste Stelle",previous:"Vorige Stelle",follow:"Der Stimme folgen",gap:t=>`Nicht aufgenommen: ${t}`,gaps:{muted:"stumm",left:"war gegangen",no_consent:"keine Zustimmung",paused:"pausiert",lost:"verloren",redacted:"herausgenommen",interrupted:"Worte abgerissen",undecoded:"Worte nicht erkannt",not_stored:"nicht gespeichert"},notReady:"Die Aufnahme ist noch nicht fertig.",archived:"Die Aufnahme ist archiviert. Hole sie zuerst.",cannotPlay:"Der Browser kann diese Aufnahme nicht abspielen. Lade sie stattdessen herunter.",texts:"Mitschrift als",wave:"Wie laut die Aufnahme ist"}},Qt={code:"en",product:"Hansard",retry:"Try again",cancel:"Cancel",loading:"Loading …",and:"and",join:{title:t=>`${t}'s meeting`,titlePlain:"Join the meeting",lead:"Choose what may be kept of you, then join. You can change it at any time.",name:"Your name",nameHint:"Everybody in the meeting sees it.",nameMissing:"Enter a name.",again:t=>`You come back as ${t}.`,notYou:"Somebody else?",password:"Password of the meeting",passwordMissing:"This meeting asks for a password.",passwordWrong:"The password is wrong.",microphone:"Microphone",microphoneOff:"Join without a microphone",microphoneAllow:"Allow the microphone",microphoneAsk:"Your browser asks once whether this page may use it. Nothing is sent before you join.",microphoneLevel:"Level of your microphone",microphoneOriginal:"I wear headphones: send my sound as it is, without echo cancellation",microphoneSpeak:"Say something: the bar moves when you are heard.",consentTitle:"What may be kept of you",consentIntro:t=>`${t} hosts this meeting and has access to what is kept. Without your agreement nothing of you is stored: neither sound nor words.`,recording:"Sound recording",recordingWhat:"Your voice is recorded, as a track of its own and in the mix of the meeting.",transcription:"Transcript and captions",transcriptionWhat:"What you say is written down, shown to everybody as captions, and kept as a transcript.",nothingKept:"This meeting is neither recorded nor transcribed.",agree:"Agree",decline:"Decline",choose:"Choose one of the two.",policyExclude:"If you decline, you are heard in the meeting and left out of what is kept.",policyAll:"If you decline, nothing is kept of anybody while you are here.",policyRequired:"The host asks everybody to agree. If you decline, you cannot take part.",join:"Join",joining:"Joining …",required:t=>`To take part in this meeting you have to agree to: ${t}.`,statementRecording:t=>`I agree that my voice is recorded in this meeting of ${t}. I can withdraw this at any time.`,statementTranscription:t=>`I agree that what I say in this meeting of ${t} is transcribed, shown as captions and kept as a transcript. I can withdraw this at any time.`},device:{insecure:"This page is neither https nor localhost, so the browser gives it no microphone. Open it by its https address.",blocked:"The browser blocks the microphone for this page. Allow it with the icon beside the address, then try again.",none:"No microphone was found. Connect one and try again, or join without.",busy:"Another program uses the microphone. Close it there and try again.",failed:t=>`The microphone does not start: ${t}`,gone:"The microphone was disconnected. You are not heard until you choose another one."},fault:{title:"That did not work",over:"This meeting is over",overText:"Nobody can join it any more.",full:"The server is full or busy at the moment. Try again in a minute.",linkGone:"This link is not valid any more",linkGoneText:"It has run out, was closed, or is not complete. Ask for a new one.",linkClosed:"This link was closed to new guests. Ask the host for a new one.",linkMissing:"This address is not complete",linkMissingText:"The link that you were sent has a part behind a #. Open it whole, or sign in with the link of your application if you are the host.",deleted:"This meeting was deleted.",removed:"You were removed from this meeting",removedText:"The host, or what you agreed to, does not let you take part.",left:"You have left the meeting",ended:"The meeting has ended",endedText:"The recording and the transcript are made now, for the host.",leftText:"You can come back with the same link.",replaced:"The meeting is open in another tab",replacedText:"Only one tab at a time takes part as you. This one has stopped.",here:"Take part here",again:"Come back",many:"Too many requests. Wait a moment and try again.",unreachable:"The server does not answer. Check your connection.",socket:"The connection to the meeting does not come about. If you are behind a company proxy it may block WebSockets: try another network.",ice:"Sound does not get through to the server. A firewall may block UDP: try another network, or switch a VPN off.",noWebrtc:"This server takes no sound from browsers. You can read captions here.",consentAway:"This cannot be written down at the moment. Nothing of you is kept meanwhile.",other:t=>t},room:{people:"Participants",speaks:"speaks",mutedState:"muted",paused:"No picture: slow network",mute:"Mute",unmute:"Unmute",noMicrophone:"No microphone",captionsShow:"Show captions",captionsHide:"Hide captions",leave:"Leave",end:"End for all",endSure:"End the meeting for everybody?",remove:t=>`Remove ${t}`,removeSure:t=>`Remove ${t} from the meeting?`,yes:"Yes",copyLink:"Copy invitation",copied:"The link is in your clipboard.",linkIs:"Invitation:",you:t=>`${t} (you)`,alone:"You are alone here so far.",connecting:"Connecting …",reconnecting:"The connection was lost. Connecting again …",audioBlocked:"The browser plays no sound before you press a key.",playAudio:"Play sound",kept:"Recorded, transcribed",notKept:"Nothing kept",recorded:"Recorded",transcribed:"Transcribed",notRecorded:"Not recorded",notTranscribed:"Not transcribed",stateOff:"This meeting is not recorded.",stateWaiting:"Nothing is recorded: nobody has agreed yet.",statePausedFor:(t,e)=>`Recording is paused${e}: the agreement of ${t} is missing.`,statePausedDisk:t=>`Recording is paused${t}: the server cannot write at the moment.`,stateBoth:t=>`Recorded and transcribed${t}.`,stateRecording:t=>`Recorded${t}.`,stateTranscribing:t=>`Transcribed${t}.`,stateNotTranscribing:"Not transcribed.",stateSince:t=>` since ${t}`,nameSince:(t,e)=>e===""?t:`${t} (${e.trim()})`,stateNot:t=>`Nothing is kept of ${t}.`,stateNotRecorded:t=>`Not recorded: ${t}.`,stateNotTranscribed:t=>`Not transcribed: ${t}.`,stateUnrecorded:t=>`Lost at the moment, though agreed: ${t}.`,camera:"Camera on",cameraOff:"Camera off",screen:"Share screen",screenOff:"Stop sharing",pictureFailed:t=>`The picture does not start: ${t}`,screenOf:t=>`Screen of ${t}`},consent:{title:"What is kept of you",recording:"Sound recording",transcription:"Transcript and captions",accepted:"agreed",declined:"declined",withdrawn:"withdrawn",none:"not agreed",agree:"Agree",withdraw:"Withdraw",withdrawAll:"Stop keeping anything of me",withdrawNow:"Stop keeping me",working:"Being withdrawn: you send no sound until that is certain.",granting:"Being written down …",since:t=>`since ${t}`,off:"not in this meeting"},captions:{title:"Captions",empty:"What is said appears here, of those who agreed to it.",history:"Transcript so far",size:"Size",smaller:"Smaller captions",larger:"Larger captions",contrast:"High contrast",latency:"Show delay",bundled:"By the small test model, which knows 650 words of English in three synthetic voices: what real voices say comes out wrong.",latencyOf:t=>`${t} s behind`},host:{title:"Your meetings",search:"Name",searchHint:"Somebody who took part",from:"From",to:"To",none:"There are no meetings yet.",noneFound:"Nothing was found.",more:"Earlier meetings",status:{scheduled:"planned",live:"live now",ended:"ended"},enter:"Enter the room",open:"Open",back:"All meetings",meetingOf:t=>`Meeting of ${t}`,participants:"With",recordings:"Recordings",noRecordings:"Nothing was recorded.",live:"The meeting is still going on. Its files are made after the end.",mix:"Everybody",track:t=>t,download:"Download",delete:"Delete",deleteSure:t=>`Delete “${t}” for good? Every copy goes.`,deleteYes:"Delete for good",deleteMeeting:"Delete the meeting",deleteMeetingSure:"Delete all recordings and words of this meeting for good? Only the log of consents stays.",deleted:"Deleted.",restore:"Fetch from the archive",restoring:"Being fetched from the archive",restoreBy:t=>`Ready by about ${t}.`,states:{recording:"being recorded",processing:"being made",ready:"ready",failed:"failed",deleting:"being deleted"},tiers:{hot:"fresh",warm:"stored",cold:"stored away",archive:"archived"},waitingFor:{storage:"waits for storage",database:"waits for the database",disk:"waits for disk space"},expires:t=>`Deleted on ${t}`,tryAgain:"Make it again",signedOut:"Your session has ended",signedOutText:"Open a new link from your application."},player:{play:"Play",pause:"Pause",back:"10 seconds back",forward:"10 seconds forward",speed:"Speed",seek:"Place in the recording",at:(t,e)=>`${t} of ${e}`,speakers:"Heard",transcript:"Transcript",transcriptNone:"There are no words.",transcriptIncomplete:"The transcript is not complete yet.",search:"Search the transcript",hits:t=>t===1?"1 place":`${t} places`,next:"Next place",previous:"Previous place",follow:"Follow the voice",gap:t=>`Not recorded: ${t}`,gaps:{muted:"muted",left:"had left",no_consent:"no consent",paused:"paused",lost:"lost",redacted:"taken out",interrupted:"words interrupted",undecoded:"words not recognised",not_stored:"not stored"},notReady:"The recording is not ready yet.",archived:"The recording is archived. Fetch it first.",cannotPlay:"The browser cannot play this recording. Download it instead.",texts:"Transcript as",wave:"How loud the recording is"}},Ls=[Qt,Bs],a=navigator.languages.map(t=>Ls.find(e=>e.code===t.slice(0,2).toLowerCase())).find(t=>t!==void 0)??Qt;function es(){document.documentElement.lang=a.code}const ts=navigator.languages.find(t=>t.toLowerCase().startsWith(a.code))??a.code;function Ee(t){return new Intl.ListFormat(a.code,{type:"conjunction"}).format(t)}function zs(t){return t.toLocaleTimeString(ts,{hour:"2-digit",minute:"2-digit"})}function ss(t,e=new Date){return t.toDateString()===e.toDateString()?zs(t):Me(t)}function Me(t){return t.toLocaleString(ts,{dateStyle:"medium",timeStyle:"short"})}function L(t){const e=Math.max(0,Math.floor(t/1e3)),s=o=>String(o).padStart(2,"0"),[i,n,r]=[Math.floor(e/3600),Math.floor(e/60)%60,e%60];return i>0?`${i}:${s(n)}:${s(r)}`:`${n}:${s(r)}`}function Us(t){const e=t/1048576,s=(i,n)=>new Intl.NumberFormat(a.code,{style:"unit",unit:n,maximumFractionDigits:i<10?1:0}).format(i);return e>=1?s(e,"megabyte"):s(Math.ceil(t/1024),"kilobyte")}var qs=Object.defineProperty,Hs=Object.getOwnPropertyDescriptor,Je=(t,e,s,i)=>{for(var n=i>1?void 0:i?Hs(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&qs(e,s,n),n};let pe=class extends ${constructor(){super(...arguments),this.purpose="recording",this.answer=null,this.wrong=!1}render(){const t={recording:[a.join.recording,a.join.recordingWhat],transcription:[a.join.transcription,a.join.transcriptionWhat]}[this.purpose],e=(s,i)=>l`
            <label>
                <input
                    type="radio"
                    name="answer"
                    value=${s?"agree":"decline"}
                    .checked=${this.answer===s}
                    @change=${()=>this.choose(s)}
                />
                ${i}
            </label>
        `;return l`
            <fieldset class=${this.wrong?"wrong":""} aria-describedby="what">
                <legend>${t[0]}</legend>
                <p id="what" class="small quiet">${t[1]}</p>
                <div class="choices">
                    ${e(!0,a.join.agree)} ${e(!1,a.join.decline)}
                </div>
                ${this.wrong?l`<p class="error small" role="alert">${a.join.choose}</p>`:d}
            </fieldset>
        `}choose(t){this.answer=t,this.tell("chosen",{purpose:this.purpose,answer:t})}};pe.styles=[$.styles,b`
            fieldset {
                border: 1px solid var(--line);
                border-radius: 0.6rem;
                padding: 0.8rem 1rem 1rem;
                margin: 0;
                min-width: 0;
            }
            fieldset.wrong {
                border-color: var(--danger);
            }
            legend {
                font-weight: 650;
                padding: 0 0.3rem;
            }
            .choices {
                display: grid;
                grid-template-columns: repeat(2, minmax(0, 1fr));
                gap: 0.6rem;
                margin-top: 0.6rem;
            }
            label {
                display: flex;
                align-items: center;
                justify-content: center;
                gap: 0.6rem;
                border: 1px solid var(--edge);
                border-radius: 0.6rem;
                padding: 0.55rem 0.8rem;
                cursor: pointer;
            }
            label:has(input:checked) {
                border-color: var(--accent);
                background: var(--accent-soft);
            }
            label:has(:focus-visible) {
                outline: 3px solid var(--accent);
                outline-offset: 2px;
            }
            input:focus-visible {
                outline: none;
            }
            .error {
                color: var(--danger);
                margin-top: 0.5rem;
            }
            @media (max-width: 28rem) {
                label {
                    gap: 0.4rem;
                    padding-inline: 0.4rem;
                }
            }
        `];Je([p()],pe.prototype,"purpose",2);Je([p({attribute:!1})],pe.prototype,"answer",2);Je([p({type:Boolean})],pe.prototype,"wrong",2);pe=Je([k("hansard-consent-choice")],pe);let Ie=null;function Fs(){return Ie??=new AudioContext({latencyHint:"interactive"}),Ie.state==="suspended"&&Ie.resume().catch(()=>{}),Ie}const Ws=-60;class pt{constructor(e){const s=Fs();this.source=s.createMediaStreamSource(new MediaStream([e])),this.analyser=s.createAnalyser(),this.analyser.fftSize=1024,this.samples=new Float32Array(this.analyser.fftSize),this.source.connect(this.analyser)}read(){this.analyser.getFloatTimeDomainData(this.samples);let e=0;for(const i of this.samples)e+=i*i;const s=10*Math.log10(e/this.samples.length+1e-12);return Math.min(1,Math.max(0,1-s/Ws))}close(){this.source.disconnect()}}function is(t){switch(t instanceof DOMException?t.name:""){case"NotAllowedError":case"SecurityError":return a.device.blocked;case"NotFoundError":case"OverconstrainedError":return a.device.none;case"NotReadableError":case"AbortError":return a.device.busy;default:return a.device.failed(t instanceof Error?t.message:String(t))}}const Re=()=>window.isSecureContext&&navigator.mediaDevices!==void 0;async function ut(t){return(await navigator.mediaDevices.getUserMedia({audio:{...t===void 0?{}:{deviceId:{exact:t}},channelCount:1,echoCancellation:!it.read(),noiseSuppression:!1,autoGainControl:!1}})).getAudioTracks()[0]}async function Vs(){return(await navigator.mediaDevices.enumerateDevices()).filter(e=>e.kind==="audioinput"&&e.deviceId!=="")}async function Js(){return(await navigator.mediaDevices.getDisplayMedia({video:{frameRate:{ideal:10}},audio:!1})).getVideoTracks()[0]}const Ys=()=>navigator.mediaDevices?.getDisplayMedia!==void 0;async function Gs(){return(await navigator.mediaDevices.getUserMedia({video:{width:{ideal:640},height:{ideal:360},frameRate:{ideal:24}}})).getVideoTracks()[0]}var Ks=Object.defineProperty,Zs=Object.getOwnPropertyDescriptor,Ce=(t,e,s,i)=>{for(var n=i>1?void 0:i?Zs(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&Ks(e,s,n),n};let Q=class extends ${constructor(){super(...arguments),this.track=null,this.devices=[],this.fault=Re()?"":a.device.insecure,this.asking=!1,this.level=null,this.frame=0}connectedCallback(){super.connectedCallback(),this.ifAllowed()}disconnectedCallback(){super.disconnectedCallback(),cancelAnimationFrame(this.frame),this.level?.close(),this.level=null}render(){return l`
            <label for="device">${a.join.microphone}</label>
            ${this.track===null?this.askFor():this.chosen()} ${Re()?this.original():d}
            ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
        `}askFor(){return l`
            <p class="small quiet">${a.join.microphoneAsk}</p>
            <div class="row">
                <button
                    id="device"
                    type="button"
                    ?disabled=${this.asking||!Re()}
                    @click=${()=>this.use(void 0)}
                >
                    ${a.join.microphoneAllow}
                </button>
            </div>
        `}chosen(){return l`
            <select id="device" @change=${t=>this.use(t.target.value)}>
                ${this.devices.map(({deviceId:t,label:e})=>l`
                        <option value=${t} ?selected=${t===this.track?.getSettings().deviceId}>
                            ${e}
                        </option>
                    `)}
                <option value="">${a.join.microphoneOff}</option>
            </select>
            <div class="meter" role="img" aria-label=${a.join.microphoneLevel}><div></div></div>
            <p class="small quiet">${a.join.microphoneSpeak}</p>
        `}original(){return l`
            <label class="original small">
                <input
                    id="original"
                    type="checkbox"
                    .checked=${it.read()}
                    @change=${t=>this.keepOriginal(t.target.checked)}
                />
                ${a.join.microphoneOriginal}
            </label>
        `}async keepOriginal(t){it.write(t),this.track!==null&&await this.use(this.track.getSettings().deviceId)}async ifAllowed(){if(!Re())return;(await navigator.permissions?.query({name:"microphone"}).catch(()=>null))?.state==="granted"&&await this.use(void 0)}async use(t){if(this.stop(),t===""){this.tell("microphone",null);return}this.asking=!0;try{const e=await ut(t);this.track=e,this.devices=await Vs(),this.fault="",e.onended=()=>{this.stop(),this.fault=a.device.gone,this.tell("microphone",null)},this.level=new pt(e),this.draw(),this.tell("microphone",e)}catch(e){this.fault=is(e),this.tell("microphone",null)}finally{this.asking=!1}}stop(){cancelAnimationFrame(this.frame),this.level?.close(),this.level=null,this.track?.stop(),this.track=null}draw(){const t=this.renderRoot.querySelector(".meter div");t!==null&&this.level!==null&&(t.style.transform=`scaleX(${this.level.read().toFixed(3)})`),this.frame=requestAnimationFrame(()=>this.draw())}};Q.styles=[$.styles,b`
            :host {
                display: grid;
                gap: 0.6rem;
            }
            label {
                font-weight: 650;
            }
            .original {
                font-weight: normal;
            }
            select {
                width: 100%;
            }
            .meter {
                height: 0.6rem;
                border-radius: 0.3rem;
                background: var(--line);
                overflow: hidden;
            }
            .meter div {
                height: 100%;
                width: 100%;
                background: var(--good);
                transform: scaleX(0);
                transform-origin: left;
            }
        `];Ce([u()],Q.prototype,"track",2);Ce([u()],Q.prototype,"devices",2);Ce([u()],Q.prototype,"fault",2);Ce([u()],Q.prototype,"asking",2);Q=Ce([k("hansard-microphone-choice")],Q);var Xs=Object.defineProperty,Qs=Object.getOwnPropertyDescriptor,F=(t,e,s,i)=>{for(var n=i>1?void 0:i?Qs(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&Xs(e,s,n),n};let j=class extends ${constructor(){super(...arguments),this.named=!1,this.known="",this.busy=!1,this.fault="",this.wrongPassword="",this.answers=new Map,this.tried=!1,this.microphone=null}get purposes(){return Ae(this.invitation)}render(){const{hostName:t,passwordRequired:e}=this.invitation;return l`
            <div class="page">
                <main class="narrow">
                    <header>
                        <h1>${t===""?a.join.titlePlain:a.join.title(t)}</h1>
                        <p class="quiet">${a.join.lead}</p>
                    </header>
                    <form novalidate @submit=${this.submit}>
                        ${this.named?d:this.known===""?this.name():this.again()}
                        ${e&&this.isNew?this.password():d}
                        <section class="card">
                            <hansard-microphone-choice
                                @microphone=${s=>this.microphone=s.detail}
                            ></hansard-microphone-choice>
                        </section>
                        ${this.consent()}
                        ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
                        <button class="primary" ?disabled=${this.busy}>
                            ${this.busy?a.join.joining:a.join.join}
                        </button>
                    </form>
                </main>
            </div>
        `}get isNew(){return!this.named&&this.known===""}again(){return l`
            <p class="note row">
                <span>${a.join.again(this.known)}</span>
                <button type="button" class="plain" @click=${()=>this.tell("forget")}>
                    ${a.join.notYou}
                </button>
            </p>
        `}name(){const t=this.tried&&this.value("name").trim()==="";return l`
            <div class="field">
                <label for="name">${a.join.name}</label>
                <input
                    id="name"
                    name="name"
                    autocomplete="name"
                    maxlength="128"
                    required
                    .defaultValue=${Ct.read()}
                    aria-describedby="name-hint"
                    aria-invalid=${t?"true":"false"}
                />
                <p id="name-hint" class="small ${t?"error":"quiet"}">
                    ${t?a.join.nameMissing:a.join.nameHint}
                </p>
            </div>
        `}password(){const t=this.tried&&this.value("password")===""?a.join.passwordMissing:this.wrongPassword;return l`
            <div class="field">
                <label for="password">${a.join.password}</label>
                <input
                    id="password"
                    name="password"
                    type="password"
                    autocomplete="off"
                    maxlength="256"
                    aria-describedby="password-hint"
                    aria-invalid=${t===""?"false":"true"}
                />
                <p id="password-hint" class="small error" ?hidden=${t===""}>${t}</p>
            </div>
        `}consent(){const{hostName:t,consentPolicy:e}=this.invitation;if(this.purposes.length===0)return l`<p class="note">${a.join.nothingKept}</p>`;const s={exclude:a.join.policyExclude,all:a.join.policyAll,required:a.join.policyRequired}[e];return l`
            <section class="card">
                <h2>${a.join.consentTitle}</h2>
                <p>${a.join.consentIntro(t)}</p>
                ${this.purposes.map(i=>l`
                        <hansard-consent-choice
                            .purpose=${i}
                            .answer=${this.answers.get(i)??null}
                            ?wrong=${this.tried&&!this.answers.has(i)}
                            @chosen=${this.chosen}
                        ></hansard-consent-choice>
                    `)}
                <p class="small quiet">${s}</p>
            </section>
        `}chosen(t){this.answers=new Map(this.answers).set(t.detail.purpose,t.detail.answer)}value(t){return this.renderRoot.querySelector(`#${t}`)?.value??""}submit(t){t.preventDefault(),this.tried=!0;const e=this.value("name").trim(),s=this.invitation.passwordRequired&&this.isNew;if(this.isNew&&e===""){this.focusOn("#name");return}if(s&&this.value("password")===""){this.focusOn("#password");return}const i=this.purposes.find(r=>!this.answers.has(r));if(i!==void 0){[...this.renderRoot.querySelectorAll("hansard-consent-choice")].find(o=>o.purpose===i)?.shadowRoot?.querySelector("input")?.focus();return}this.isNew&&Ct.write(e);const n={displayName:this.isNew?e:this.known,password:s?this.value("password"):null,microphone:this.microphone,answers:this.answers};this.tell("join",n)}};j.styles=[$.styles,b`
            form {
                display: grid;
                gap: 1rem;
            }
            .field {
                display: grid;
                gap: 0.3rem;
            }
            .field > label {
                font-weight: 650;
            }
            .error {
                color: var(--danger);
            }
            section {
                display: grid;
                gap: 0.8rem;
            }
            button.primary {
                min-height: 3rem;
                font-size: 1.05rem;
            }
        `];F([p({attribute:!1})],j.prototype,"invitation",2);F([p({type:Boolean})],j.prototype,"named",2);F([p()],j.prototype,"known",2);F([p({type:Boolean})],j.prototype,"busy",2);F([p()],j.prototype,"fault",2);F([p()],j.prototype,"wrongPassword",2);F([u()],j.prototype,"answers",2);F([u()],j.prototype,"tried",2);j=F([k("hansard-join")],j);function mt(t){return t.length===2?"recording_ai":t[0]}function ei(t,e){const s={recording:a.join.statementRecording(e),transcription:a.join.statementTranscription(e)};return t.map(i=>s[i]).join(" ")}const Dt=[250,500,1e3,2e3],ti=4e3;async function gt(t,e,s,i,n){const r=i==="accepted"?{statement:ei(s,n)}:{},o={meetingId:e,consentType:mt(s),status:i,...r};return(await t.post("/v1/users/consent",o,crypto.randomUUID())).timestamp}async function ns(t,e,s,i){const n=crypto.randomUUID(),r={meetingId:e,consentType:mt(s),status:"withdrawn"};for(let o=0;!i.aborted;o++){const c=AbortSignal.any([i,AbortSignal.timeout(ti)]);try{return(await t.post("/v1/users/consent",r,n,c)).timestamp}catch(h){if(h instanceof E&&[400,403,404,410,422].includes(h.status))throw h}await new Promise(h=>setTimeout(h,Dt[Math.min(o,Dt.length-1)]))}throw new Error("not asked for any more")}const si=500;class nt{constructor(){this.byId=new Map,this.revisions=new Map,this.epoch=null}get finals(){return this.sorted(e=>e.isFinal)}get partials(){return this.sorted(e=>!e.isFinal)}inEpoch(e){this.epoch!==null&&this.epoch!==e&&this.forgetPartials(),this.epoch=e}forgetPartials(){for(const e of this.partials)this.byId.delete(e.id)}update(e,s){const i=this.revisions.get(e.segmentId)??0;if(e.revision<i)return;this.revisions.set(e.segmentId,e.revision);const n=this.byId.get(e.segmentId),r=e.startAt===null?NaN:Date.parse(e.startAt)+e.endMs-e.startMs,o=s-r;this.byId.set(e.segmentId,{id:e.segmentId,participantId:e.participant.id,speaker:e.participant.displayName??"",startMs:e.startMs,text:e.text,stable:e.final?e.text.length:e.stableChars,isFinal:e.final,translation:n?.translation??null,delayMs:Number.isFinite(o)&&o<6e4?Math.max(0,o):null}),e.final&&e.text===""&&this.byId.delete(e.segmentId),this.bound()}translate(e,s){const i=this.byId.get(e);i!==void 0&&this.byId.set(e,{...i,translation:s})}retract(e){this.byId.delete(e),this.revisions.set(e,1/0)}sorted(e){return[...this.byId.values()].filter(e).sort((s,i)=>s.startMs-i.startMs)}bound(){const e=this.finals;for(const s of e.slice(0,Math.max(0,e.length-si)))this.byId.delete(s.id)}}class G extends Error{constructor(e,s){super(s),this.code=e}}const ii=5e3,ni=8e3,ri=8e3,oi=2e4,jt=[0,250,500,500,1e3,1e3,1e3,2e3,3e3,5e3];class rs{constructor(e,s,i,n){this.url=e,this.entry=s,this.events=n,this.socket=null,this.waiting=new Map,this.ids=0,this.tries=0,this.heardAt=0,this.refused=null,this.isClosed=!1,this.isJoined=!1,this.wasJoined=!1,this.lastSeq=i,this.pinging=setInterval(()=>this.check(),ri),this.open()}get joined(){return this.isJoined}ask(e,s,i=ii){const n=`r${++this.ids}`;return new Promise((r,o)=>{if(!this.transmit({type:e,id:n,data:s})){o(new G("unavailable","the socket is not open"));return}const c=setTimeout(()=>{this.waiting.delete(n),o(new G("timeout","no answer came"))},i);this.waiting.set(n,{done:h=>(clearTimeout(c),r(h)),failed:h=>(clearTimeout(c),o(h))})})}say(e,s){return this.isJoined&&this.transmit({type:e,data:s})}leave(){this.say("leave",{}),this.close()}close(){this.isClosed=!0,clearInterval(this.pinging),clearTimeout(this.timer),this.socket?.close(1e3),this.fail(new G("closed","the socket was closed"))}probe(){if(this.isClosed)return;if(this.socket?.readyState!==WebSocket.OPEN){clearTimeout(this.timer),this.open();return}const e=this.socket,s=this.heardAt;this.transmit({type:"ping",data:{}}),setTimeout(()=>{this.heardAt===s&&this.socket===e&&this.drop()},2500)}open(){this.socket?.close();const e=new WebSocket(this.url,"hansard.v1");this.socket=e,this.heardAt=performance.now();const s=setTimeout(()=>this.socket===e&&!this.isJoined&&this.drop(),ni);e.onopen=()=>{const i=this.lastSeq===null?{}:{lastSeq:this.lastSeq};this.transmit({type:"join_room",id:"join",data:{...this.entry,...i}})},e.onmessage=({data:i})=>{this.socket===e&&typeof i=="string"&&(this.heardAt=performance.now(),this.read(JSON.parse(i)))},e.onclose=({code:i,reason:n})=>{clearTimeout(s),this.socket===e&&this.closed(i,n)}}read(e){if(e.re==="join"){e.type==="joined"?this.enter(e.data):e.type==="error"&&(this.refused=new G(e.data.code,e.data.message),e.data.code==="unavailable"&&this.drop());return}typeof e.seq=="number"&&(this.lastSeq=Math.max(this.lastSeq??0,e.seq));const s=e.re===void 0?void 0:this.waiting.get(e.re);if(s!==void 0){if(this.waiting.delete(e.re),e.type==="error"){s.failed(new G(e.data.code,e.data.message));return}s.done(e)}this.events.message(e)}enter(e){const s=this.wasJoined;this.isJoined=this.wasJoined=!0,this.tries=0,this.refused=null,e.resumeToken!==null&&(this.entry={resumeToken:e.resumeToken}),this.lastSeq??=e.seq,this.events.joined(e,s)}closed(e,s){if(this.isJoined=!1,this.socket=null,this.fail(new G("unavailable","the connection was lost")),this.isClosed)return;const i=ai(e,this.refused?.code);if(i!==null){const r=this.refused?.message??s;this.close(),this.events.end(i,r);return}const n=jt[Math.min(this.tries,jt.length-1)];this.tries+=1,this.events.lost(this.tries),this.timer=setTimeout(()=>this.open(),n*(.75+Math.random()/2))}drop(){const e=this.socket;e!==null&&(e.onclose=e.onmessage=e.onopen=null,e.close(),this.closed(1006,""))}check(){this.socket?.readyState===WebSocket.OPEN&&(performance.now()-this.heardAt>oi?this.drop():this.transmit({type:"ping",data:{}}))}transmit(e){return this.socket?.readyState!==WebSocket.OPEN?!1:(this.socket.send(JSON.stringify(e)),!0)}fail(e){for(const s of this.waiting.values())s.failed(e);this.waiting.clear()}}function ai(t,e){switch(t){case 4e3:return"ended";case 4010:return"replaced";case 4003:switch(e){case"absent":case"unauthorized":case"consent_required":return e;default:return"removed"}default:return null}}const li=2500,It=1e3,ci=300,hi=15e3;class di{constructor(e,s,i){this.socket=e,this.iceServers=s,this.events=i,this.pc=null,this.own=new Map,this.senders=new Map,this.offering=!1,this.wanted=!1,this.kept=null,this.answered=null,this.answering=!1,this.held=!1,this.isClosed=!1,this.isUnavailable=!1,this.state="connecting",this.epoch=null}start(e){if(this.iceServers=e??this.iceServers,this.drop(),this.isClosed||this.isUnavailable)return;const s=new RTCPeerConnection({iceServers:this.iceServers});this.pc=s,s.onicecandidate=({candidate:i})=>{const{candidate:n,sdpMid:r,sdpMLineIndex:o,usernameFragment:c}=i??{};this.socket.say("ice_candidate",i===null?null:{candidate:n,sdpMid:r,sdpMLineIndex:o,usernameFragment:c})},s.onconnectionstatechange=()=>this.pc===s&&this.changed(s.connectionState),s.onnegotiationneeded=()=>this.pc===s&&this.want(),this.watch();for(const[i,n]of this.own)this.add(i,n);this.own.has("microphone")||s.addTransceiver("audio",{direction:"recvonly"})}async set(e,s){this.own.set(e,s);const i=this.senders.get(e);if(i===void 0){this.pc!==null&&this.add(e,s);return}await i.sender.replaceTrack(s)}remove(e){this.own.delete(e);const s=this.senders.get(e);this.senders.delete(e),s?.stop()}restart(){const e=this.pc;e===null||e.connectionState==="failed"||e.connectionState==="closed"?this.start():(e.restartIce(),this.want())}inEpoch(e){this.epoch!==null&&e>this.epoch&&(this.start(),this.epoch=e)}asked(e){this.epoch===null&&this.start(),this.inEpoch(e)}resumed(e,s){this.iceServers=e,this.epoch!==null&&s>this.epoch?this.inEpoch(s):this.pc?.connectionState==="connected"?this.offer():this.restart()}offered(e){this.kept=e,this.answer()}candidate(e){this.pc?.addIceCandidate(e??void 0).catch(()=>{})}stats(){return this.pc?.getStats()??null}close(){this.isClosed=!0,this.drop()}add(e,s){const i=e==="microphone"?"audio":"video",n=this.pc?.addTransceiver(s??i,{direction:"sendonly"});n!==void 0&&this.senders.set(e,n)}want(){this.wanted=!0,this.offer()}async offer(){const e=this.pc,s=this.offering||this.answering||this.held||this.kept!==null;if(!(e===null||s||!this.wanted||!this.socket.joined||e.signalingState!=="stable")){this.offering=!0,this.wanted=!1;try{await e.setLocalDescription();const i=e.localDescription?.sdp??"",n=await this.socket.ask("offer",{sdp:i,tracks:this.tracks()});this.pc===e&&n.type==="answer"&&(this.epoch=n.data.epoch,await e.setRemoteDescription({type:"answer",sdp:n.data.sdp}),this.events.sending())}catch(i){this.pc===e&&await this.refused(e,i)}finally{this.offering=!1,this.goOn()}}}async answer(){const e=this.pc,s=this.kept;if(!(e===null||s===null||this.offering||this.answering)){if(this.kept=null,this.answered?.id===s.id){this.socket.say("answer",this.answered),this.goOn();return}this.answering=!0;try{await e.setRemoteDescription({type:"offer",sdp:s.sdp}),await e.setLocalDescription(),this.answered={id:s.id,sdp:e.localDescription?.sdp??""},this.socket.say("answer",this.answered),this.events.tracks(pi(e,s.tracks))}catch(i){this.pc===e&&(console.warn("an offer could not be answered",i),this.later(()=>this.start()))}finally{this.answering=!1,this.goOn()}}}goOn(){this.kept!==null?this.answer():this.wanted&&this.offer()}async refused(e,s){const i=s instanceof G?s.code:"";switch(this.held=!0,e.signalingState==="have-local-offer"&&await e.setLocalDescription({type:"rollback"}).catch(()=>{}),i){case"webrtc_unavailable":this.isUnavailable=!0,this.drop(),this.events.unavailable();return;case"failed":this.later(()=>this.start());return;case"glare":this.again(ci);return;case"ended":case"removed":case"consent_required":case"closed":return;default:this.again(It)}}again(e){clearTimeout(this.retry),this.held=!0,this.retry=setTimeout(()=>{this.held=!1,this.want()},e)}changed(e){switch(clearTimeout(this.timer),e){case"connected":clearTimeout(this.connecting),this.tell("connected");break;case"disconnected":this.tell("connecting"),this.later(()=>this.restart(),li);break;case"failed":this.tell("failed"),this.later(()=>this.start());break;default:this.state==="connected"&&this.tell("connecting")}}watch(){clearTimeout(this.connecting),this.connecting=setTimeout(()=>this.tell("failed"),hi)}tell(e){this.state!==e&&(this.state=e,this.events.state(e))}tracks(){return[...this.senders].filter(([,e])=>e.mid!==null&&e.currentDirection!=="stopped").map(([e,s])=>({mid:s.mid,source:e}))}later(e,s=It){clearTimeout(this.timer),this.timer=setTimeout(()=>!this.isClosed&&e(),s)}drop(){clearTimeout(this.timer),clearTimeout(this.connecting),clearTimeout(this.retry),this.senders.clear(),this.wanted=this.held=!1,this.epoch=null,this.kept=this.answered=null;const e=this.pc;this.pc=null,e!==null&&(e.close(),this.events.tracks([]))}}function pi(t,e){return e.flatMap(({mid:s,participantId:i,source:n})=>{const r=t.getTransceivers().find(o=>o.mid===s);return r===void 0?[]:[{participantId:i,source:n,track:r.receiver.track}]})}const ui={state:"off",since:null,transcribing:!1,transcribingSince:null,model:null,reason:null,waitingFor:[],unrecorded:[],epoch:0};class os{constructor(e){this.options=e,this.people=new Map,this.remotes=new Map,this.captions=new nt,this.recording=ui,this.connection="connecting",this.media="connecting",this.tries=0,this.paused=new Set,this.muted=!1,this.withdrawing=!1,this.pictures=new Map,this.joinedSeq=0,this.networkChanged=()=>{this.socket.probe(),this.peer.restart()},this.seat=e.seat,this.microphone=e.microphone,this.socket=new rs(e.seat.signalUrl,e.entry,0,{joined:(s,i)=>this.joined(s,i),message:s=>this.told(s),lost:s=>{this.connection="lost",this.tries=s,e.changed()},end:(s,i)=>this.ended(s,i)}),this.peer=new di(this.socket,[],{state:s=>{this.media=s,e.changed()},unavailable:()=>{this.media="unavailable",e.changed()},tracks:s=>this.arrived(s),sending:()=>this.muted&&this.sayMuted()}),window.addEventListener("online",this.networkChanged)}get ownId(){return this.seat.participantId}get self(){return this.people.get(this.ownId)}get isHost(){return this.self?.role==="host"}get present(){return[...this.people.values()].filter(e=>e.present&&e.removed===null).sort((e,s)=>+(s.id===this.ownId)-+(e.id===this.ownId)||mi(e,s))}get token(){return this.seat.resumeToken}async mute(e){this.muted=e,this.microphone!==null&&(this.microphone.enabled=!e),this.sayMuted(),this.options.changed()}async speakThrough(e){this.microphone?.stop(),this.microphone=e,e.enabled=!this.muted,await this.sendSound(),this.options.changed()}async show(e,s){this.pictures.get(e)?.stop(),s===null?(this.pictures.delete(e),this.peer.remove(e)):(this.pictures.set(e,s),s.onended=()=>void this.show(e,null),await this.peer.set(e,s)),this.options.changed()}async withdraw(e){this.withdrawing=!0;const s=this.peer.set("microphone",null);this.options.changed(),await s;const i=new AbortController,n=this.options.rest.with(this.seat.consentToken),r=this.socket.ask("consent",{consentType:mt(e),status:"withdrawn"}).then(o=>o.data.timestamp).catch(()=>new Promise(()=>{}));try{const o=ns(n,this.options.meetingId,e,i.signal),c=await Promise.race([r,o]);this.answered(this.ownId,e,"withdrawn",c)}finally{i.abort(),this.withdrawing=!1}await this.sendSound(),this.options.changed()}async agree(e){const s=this.options.rest.with(this.seat.consentToken);await gt(s,this.options.meetingId,e,"accepted",this.options.hostName)}leave(){this.socket.leave(),this.finish(),ce.write(this.options.meetingId,null),this.options.end("left","")}finish(){window.removeEventListener("online",this.networkChanged),this.socket.close(),this.peer.close(),this.microphone?.stop();for(const e of this.pictures.values())e.stop();for(const e of this.remotes.values())e.level?.close();this.remotes.clear()}stats(){return this.peer.stats()}sayMuted(){this.socket.ask("mute",{source:"microphone",muted:this.muted}).catch(()=>{})}async sendSound(){!this.withdrawing&&this.microphone!==null&&await this.peer.set("microphone",this.microphone)}joined(e,s){const{resumeToken:i}=e,n=e.participantId??this.seat.participantId,r=e.consentToken??this.seat.consentToken;this.seat={...this.seat,participantId:n,resumeToken:i,consentToken:r},ce.write(this.options.meetingId,this.seat),this.seat.displayName!==""&&ze.write(this.options.meetingId,{displayName:this.seat.displayName,consentToken:r}),this.connection="open",this.tries=0,this.joinedSeq=e.seq,this.people.clear();for(const o of e.participants)this.people.set(o.id,o);this.captions.forgetPartials(),this.state(e.recording),s?this.peer.resumed(e.iceServers,e.recording.epoch):(this.sendSound(),this.peer.start(e.iceServers)),this.options.changed()}told({type:e,seq:s,data:i}){const n=s!==void 0&&s<=this.joinedSeq;switch(e){case"participant_joined":case"participant_left":case"participant_updated":n||this.person(i);break;case"consent_updated":if(!n){const{participantId:r,purposes:o,status:c,timestamp:h}=i;this.answered(r,o,c,h)}break;case"recording_state":n||(this.state(i),this.peer.inEpoch(this.recording.epoch));break;case"transcript_update":case"transcript_corrected":this.captions.update(i,Date.now());break;case"transcript_translated":this.captions.translate(i.segmentId,i.text);break;case"transcript_retracted":this.captions.retract(i.segmentId);break;case"offer":this.peer.offered(i);break;case"ice_candidate":this.peer.candidate(i);break;case"video_paused":this.paused=new Set(i.paused.map(({participantId:r,source:o})=>`${r} ${o}`));break;case"media":i.action==="offer"&&(this.paused=new Set,this.peer.asked(i.epoch));break;default:return}this.options.changed()}person(e){this.people.set(e.id,e)}answered(e,s,i,n){const r=this.people.get(e);if(r===void 0)return;const o={...r.consent},c={...r.consentSince};for(const h of s)o[h]!==i&&(o[h]=i,c[h]=n);this.people.set(e,{...r,consent:o,consentSince:c})}state(e){this.recording=e,this.captions.inEpoch(e.epoch)}arrived(e){const s=new Map(this.remotes);this.remotes.clear();for(const{participantId:i,source:n,track:r}of e){const o=this.remotes.get(i)??{audio:null,camera:null,screen:null,level:null};if(r.kind==="audio"){const c=s.get(i);o.level=c?.audio===r?c.level:new pt(r),o.audio=r}else o[n==="screen"?"screen":"camera"]=r,r.onmute=r.onunmute=()=>this.options.changed();this.remotes.set(i,o)}for(const[i,{level:n}]of s)n!==null&&this.remotes.get(i)?.level!==n&&n.close();this.options.changed()}ended(e,s){this.finish(),e!=="absent"&&ce.write(this.options.meetingId,null),this.options.end(e,s)}}function mi(t,e){return(t.joinedAt??"").localeCompare(e.joinedAt??"")}/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const gi={CHILD:2},as=t=>(...e)=>({_$litDirective$:t,values:e});let ls=class{constructor(e){}get _$AU(){return this._$AM._$AU}_$AT(e,s,i){this._$Ct=e,this._$AM=s,this._$Ci=i}_$AS(e,s){return this.update(e,s)}update(e,s){return this.render(...s)}};/**
 * @license
 * Copyright 2020 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const{I:fi}=Os,Rt=t=>t,Bt=()=>document.createComment(""),ye=(t,e,s)=>{const i=t._$AA.parentNode,n=e===void 0?t._$AB:e._$AA;if(s===void 0){const r=i.insertBefore(Bt(),n),o=i.insertBefore(Bt(),n);s=new fi(r,o,t,t.options)}else{const r=s._$AB.nextSibling,o=s._$AM,c=o!==t;if(c){let h;s._$AQ?.(t),s._$AM=t,s._$AP!==void 0&&(h=t._$AU)!==o._$AU&&s._$AP(h)}if(r!==n||c){let h=s._$AA;for(;h!==r;){const g=Rt(h).nextSibling;Rt(i).insertBefore(h,n),h=g}}}return s},Y=(t,e,s=t)=>(t._$AI(e,s),t),wi={},vi=(t,e=wi)=>t._$AH=e,$i=t=>t._$AH,et=t=>{t._$AR(),t._$AA.remove()};/**
 * @license
 * Copyright 2017 Google LLC
 * SPDX-License-Identifier: BSD-3-Clause
 */const Lt=(t,e,s)=>{const i=new Map;for(let n=e;n<=s;n++)i.set(t[n],n);return i},ue=as(class extends ls{constructor(t){if(super(t),t.type!==gi.CHILD)throw Error("repeat() can only be used in text expressions")}dt(t,e,s){let i;s===void 0?s=e:e!==void 0&&(i=e);const n=[],r=[];let o=0;for(const c of t)n[o]=i?i(c,o):o,r[o]=s(c,o),o++;return{values:r,keys:n}}render(t,e,s){return this.dt(t,e,s).values}update(t,[e,s,i]){const n=$i(t),{values:r,keys:o}=this.dt(e,s,i);if(!Array.isArray(n))return this.ut=o,r;const c=this.ut??=[],h=[];let g,w,m=0,f=n.length-1,v=0,y=r.length-1;for(;m<=f&&v<=y;)if(n[m]===null)m++;else if(n[f]===null)f--;else if(c[m]===o[v])h[v]=Y(n[m],r[v]),m++,v++;else if(c[f]===o[y])h[y]=Y(n[f],r[y]),f--,y--;else if(c[m]===o[y])h[y]=Y(n[m],r[y]),ye(t,h[y+1],n[m]),m++,y--;else if(c[f]===o[v])h[v]=Y(n[f],r[v]),ye(t,n[m],n[f]),f--,v++;else if(g===void 0&&(g=Lt(o,v,y),w=Lt(c,m,f)),g.has(c[m]))if(g.has(c[f])){const D=w.get(o[v]),ae=D!==void 0?n[D]:null;if(ae===null){const vt=ye(t,n[m]);Y(vt,r[v]),h[v]=vt}else h[v]=Y(ae,r[v]),ye(t,n[m],ae),n[D]=null;v++}else et(n[f]),f--;else et(n[m]),m++;for(;v<=y;){const D=ye(t,h[y+1]);Y(D,r[v]),h[v++]=D}for(;m<=f;){const D=n[m++];D!==null&&et(D)}return this.ut=o,vi(t,h),X}}),P=t=>M`<svg viewBox="0 0 24 24" aria-hidden="true">${t}</svg>`,A={microphone:P(M`<rect x="9" y="3" width="6" height="11" rx="3"/><path d="M5 11a7 7 0 0 0 14 0M12 18v3"/>`),muted:P(M`<path d="M9 9V6a3 3 0 0 1 6 0v5M15 14a3 3 0 0 1-6-1M5 11a7 7 0 0 0 11 5.7M19 11a7 7 0 0 1-.5 2.6M12 18v3M4 4l16 16"/>`),camera:P(M`<rect x="3" y="6" width="12" height="12" rx="2"/><path d="m15 10 6-3v10l-6-3z"/>`),screen:P(M`<rect x="3" y="4" width="18" height="12" rx="2"/><path d="M8 20h8M12 16v4"/>`),captions:P(M`<rect x="3" y="5" width="18" height="14" rx="2"/><path d="M7 11h4M13 11h4M7 15h7M16 15h1"/>`),shield:P(M`<path d="M12 3 4.5 6v6c0 4.5 3.2 7.6 7.5 9 4.3-1.4 7.5-4.5 7.5-9V6z"/>`),leave:P(M`<path d="M14 4H6a1 1 0 0 0-1 1v14a1 1 0 0 0 1 1h8M10 12h10M17 8l4 4-4 4"/>`),play:P(M`<path d="M7 4.5v15l12-7.5z"/>`),pause:P(M`<path d="M8 5v14M16 5v14"/>`),back:P(M`<path d="M4 12a8 8 0 1 0 3-6.2M4 4v4h4"/>`),forward:P(M`<path d="M20 12a8 8 0 1 1-3-6.2M20 4v4h-4"/>`),download:P(M`<path d="M12 4v11M7 11l5 5 5-5M5 20h14"/>`),dot:M`<svg viewBox="0 0 24 24" aria-hidden="true"><circle cx="12" cy="12" r="6" fill="currentColor" stroke="none"/></svg>`},zt=[212,152,28,282,340,186,48,252,118,4],tt=new Map;function Ye(t){const e=tt.get(t)??tt.size;return tt.set(t,e),zt[e%zt.length]}function yi(t){const e=t.trim().split(/\s+/);return(e.length>1?[e[0],e[e.length-1]]:[e[0]]).map(i=>[...i??"?"][0]??"?").join("").toLocaleUpperCase()}class bi extends ls{render(e,s){return d}update(e,[s,i]){return e.element.style.setProperty(s,String(i)),d}}const he=as(bi);var ki=Object.defineProperty,_i=Object.getOwnPropertyDescriptor,Ne=(t,e,s,i)=>{for(var n=i>1?void 0:i?_i(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&ki(e,s,n),n};const st=[1,1.25,1.6,2];let ee=class extends ${constructor(){super(...arguments),this.turn=0,this.bundled=!1,this.look=Nt.read(),this.follows=!0}render(){const{size:t,contrast:e,history:s}=this.look;this.style.setProperty("--said",`${t}rem`);const i=this.captions.finals;return l`
            <div>
                <div class="tools">
                    <h2>${a.captions.title}</h2>
                    <button @click=${()=>this.resize(-1)}>
                        A−<span class="unseen"> ${a.captions.smaller}</span>
                    </button>
                    <button @click=${()=>this.resize(1)}>
                        A+<span class="unseen"> ${a.captions.larger}</span>
                    </button>
                    <button aria-pressed=${e} @click=${()=>this.change({contrast:!e})}>
                        ${a.captions.contrast}
                    </button>
                    <button aria-pressed=${this.look.latency} @click=${()=>this.change({latency:!this.look.latency})}>
                        ${a.captions.latency}
                    </button>
                    <button aria-pressed=${s} @click=${()=>this.change({history:!s})}>
                        ${a.captions.history}
                    </button>
                </div>
                ${this.bundled?l`<p class="note warn small">${a.captions.bundled}</p>`:d}
            </div>
            <div class="frame ${e?"contrast":""}">
                <div
                    class="history ${s?"":"unseen"}"
                    role="log"
                    aria-label=${a.captions.history}
                    tabindex=${s?0:-1}
                    @scroll=${this.scrolled}
                >
                    ${i.length===0?l`<p class="quiet">${a.captions.empty}</p>`:d}
                    ${ue(i,({id:n})=>n,n=>l`<p class="line">${this.said(n)}</p>`)}
                </div>
                <div class="now" aria-hidden="true">${this.now(i)}</div>
            </div>
        `}updated(){const t=this.renderRoot.querySelector(".history");t!==null&&this.follows&&(t.scrollTop=t.scrollHeight)}now(t){const e=this.captions.partials,s=e.length>0?e:t.slice(-1);return ue([...s].reverse().slice(0,2),({id:i})=>i,i=>l`<p>${this.said(i)}</p>`)}said(t){const{text:e,stable:s,translation:i,delayMs:n}=t,r=this.look.latency&&n!==null?l` <small class="quiet">${a.captions.latencyOf((n/1e3).toFixed(1))}</small>`:d;return l`<span class="who" ${he("--hue",Ye(t.participantId))}>${t.speaker}</span
            ><span>${e.slice(0,s)}</span><span class="tail">${e.slice(s)}</span>${r}${i===null?d:l`<span class="translation">${i}</span>`}`}resize(t){const e=st.indexOf(this.look.size),s=st[Math.min(st.length-1,Math.max(0,(e<0?0:e)+t))];this.change({size:s})}change(t){this.look={...this.look,...t},Nt.write(this.look)}scrolled(t){const{scrollTop:e,scrollHeight:s,clientHeight:i}=t.target;this.follows=s-e-i<24}};ee.styles=[$.styles,b`
            :host {
                display: grid;
                grid-template-rows: auto minmax(4.5rem, 1fr) auto;
                min-height: 0;
                gap: 0.6rem;
                --said: 1rem;
            }
            .tools {
                display: flex;
                flex-wrap: wrap;
                gap: 0.4rem;
                align-items: center;
            }
            .tools h2 {
                margin-inline-end: auto;
            }
            .tools button {
                min-height: 2.1rem;
                padding: 0.15rem 0.6rem;
                font-size: 0.9rem;
            }
            .note {
                margin-top: 0.6rem;
                padding: 0.4rem 0.7rem;
            }
            .history {
                overflow-y: auto;
                font-size: var(--said);
                overflow-anchor: none;
            }
            .history:focus-visible {
                outline-offset: -3px;
            }
            .line {
                margin: 0 0 0.45em;
            }
            .who {
                font-weight: 650;
                color: hsl(var(--hue) 70% 30%);
                margin-inline-end: 0.35em;
            }
            .translation {
                display: block;
                color: var(--quiet);
                font-style: italic;
            }
            .now {
                border-radius: 0.6rem;
                background: var(--card);
                border: 1px solid var(--line);
                padding: 0.6rem 0.9rem;
                font-size: calc(var(--said) * 1.15);
                line-height: 1.4;
                display: flex;
                flex-direction: column-reverse;
                /* Two lines; what is longer shows its end. */
                height: calc(2.8em + 1.3rem);
                overflow: hidden;
            }
            .now p {
                flex: none;
            }
            .tail {
                opacity: 0.72;
            }
            .contrast .now,
            .contrast .history {
                background: #000;
                color: #fff;
                border-color: #000;
            }
            .contrast .history {
                padding: 0.6rem 0.9rem;
                border-radius: 0.6rem;
            }
            .contrast .tail {
                opacity: 1;
                color: #d6d6d6;
            }
            .contrast .who {
                color: hsl(var(--hue) 90% 78%);
            }
            .contrast .translation {
                color: #d6d6d6;
            }
            .frame {
                display: contents;
            }
            @media (prefers-color-scheme: dark) {
                .who {
                    color: hsl(var(--hue) 80% 78%);
                }
            }
        `];Ne([p({attribute:!1})],ee.prototype,"captions",2);Ne([p({attribute:!1})],ee.prototype,"turn",2);Ne([p({type:Boolean})],ee.prototype,"bundled",2);Ne([u()],ee.prototype,"look",2);ee=Ne([k("hansard-captions-view")],ee);var xi=Object.defineProperty,Si=Object.getOwnPropertyDescriptor,ie=(t,e,s,i)=>{for(var n=i>1?void 0:i?Si(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&xi(e,s,n),n};let z=class extends ${constructor(){super(...arguments),this.consent={recording:null,transcription:null},this.since=()=>null,this.purposes=[],this.withdrawing=!1,this.granting=!1,this.fault=""}render(){const t=this.purposes.filter(e=>this.consent[e]==="accepted");return l`
            <h2>${a.consent.title}</h2>
            ${this.purposes.length===0?l`<p>${a.join.nothingKept}</p>`:d}
            ${this.purposes.map(e=>this.of(e))}
            ${t.length>1?l`<button class="danger" ?disabled=${this.withdrawing} @click=${()=>this.tell("withdraw",t)}>
                      ${a.consent.withdrawAll}
                  </button>`:d}
            <div role="status">
                ${this.withdrawing?l`<p class="note warn">${a.consent.working}</p>`:d}
                ${this.granting?l`<p class="note">${a.consent.granting}</p>`:d}
            </div>
            ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
        `}of(t){const e=this.consent[t],s=this.since(t),i=e==="accepted",n=e===null?a.consent.none:a.consent[e];return l`
            <div class="purpose">
                <strong>${a.consent[t]}</strong>
                <span class="state small ${i?"yes":"quiet"}">
                    ${n}${s===null?d:l`, ${a.consent.since(ss(new Date(s)))}`}
                </span>
                <button
                    class=${i?"danger":""}
                    ?disabled=${this.withdrawing||this.granting}
                    aria-label=${`${i?a.consent.withdraw:a.consent.agree}: ${a.consent[t]}`}
                    @click=${()=>this.tell(i?"withdraw":"agree",[t])}
                >
                    ${i?a.consent.withdraw:a.consent.agree}
                </button>
            </div>
        `}};z.styles=[$.styles,b`
            :host {
                display: grid;
                gap: 0.7rem;
            }
            .purpose {
                display: grid;
                grid-template-columns: 1fr auto;
                align-items: center;
                gap: 0.2rem 0.8rem;
            }
            .state {
                grid-column: 1;
            }
            .purpose button {
                grid-column: 2;
                grid-row: 1 / span 2;
                min-width: 7rem;
            }
            .yes {
                color: var(--good);
            }
        `];ie([p({attribute:!1})],z.prototype,"consent",2);ie([p({attribute:!1})],z.prototype,"since",2);ie([p({attribute:!1})],z.prototype,"purposes",2);ie([p({type:Boolean})],z.prototype,"withdrawing",2);ie([p({type:Boolean})],z.prototype,"granting",2);ie([p()],z.prototype,"fault",2);z=ie([k("hansard-consent-panel")],z);const Ai=b`
    .room {
        display: flex;
        flex-direction: column;
        height: var(--hansard-height, 100dvh);
        background: var(--ground);
    }
    header {
        padding: 0.6rem 1rem;
        border-bottom: 1px solid var(--line);
        background: var(--card);
    }
    .state {
        display: flex;
        align-items: center;
        gap: 0.4rem;
        font-size: 0.95rem;
    }
    .state.on svg {
        color: #c5221f;
    }
    .notices {
        display: grid;
    }
    .note {
        border-radius: 0;
    }
    main {
        flex: 1;
        min-height: 0;
        display: grid;
        grid-template-columns: minmax(0, 1fr) minmax(20rem, 26rem);
    }
    main:has(aside[hidden]) {
        grid-template-columns: minmax(0, 1fr);
    }
    .people {
        overflow-y: auto;
        padding: 1rem;
    }
    .tiles {
        display: grid;
        grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr));
        gap: 0.8rem;
        margin-bottom: 0.8rem;
    }
    aside {
        min-height: 0;
        display: flex;
        flex-direction: column;
        gap: 0.8rem;
        padding: 1rem;
        border-inline-start: 1px solid var(--line);
        overflow-y: auto;
    }
    hansard-captions-view {
        flex: 1;
        min-height: 16rem;
    }
    footer {
        display: flex;
        flex-wrap: wrap;
        justify-content: center;
        gap: 0.6rem;
        padding: 0.7rem 1rem calc(0.7rem + env(safe-area-inset-bottom));
        border-top: 1px solid var(--line);
        background: var(--card);
    }
    footer .off {
        background: var(--warn-soft);
        border-color: var(--warn);
        color: var(--warn);
    }
    footer .kept svg {
        color: #c5221f;
    }
    @media (max-width: 46rem) {
        main {
            grid-template-columns: minmax(0, 1fr);
            grid-template-rows: minmax(0, 1fr) minmax(0, 1.2fr);
        }
        main:has(aside[hidden]) {
            grid-template-rows: minmax(0, 1fr);
        }
        aside {
            border-inline-start: 0;
            border-top: 1px solid var(--line);
            padding: 0.7rem 1rem;
        }
        hansard-captions-view {
            min-height: 12rem;
        }
        .tiles {
            grid-template-columns: repeat(auto-fill, minmax(min(100%, 9rem), 1fr));
        }
        footer {
            gap: 0.4rem;
        }
        footer button {
            padding-inline: 0.7rem;
            font-size: 0.9rem;
        }
        /* Two rows leave room for the people; the names stay, for those who hear them. */
        footer .short {
            min-width: 2.9rem;
            justify-content: center;
        }
        footer .short span {
            position: absolute;
            width: 1px;
            height: 1px;
            overflow: hidden;
            clip-path: inset(50%);
            white-space: nowrap;
        }
    }
`;class Mi{constructor(e){this.changed=e,this.elements=new Map,this.isBlocked=!1}play(e){for(const[s,i]of this.elements)e.has(s)||(i.srcObject=null,this.elements.delete(s));for(const[s,i]of e){const n=this.elements.get(s);if(n?.srcObject?.getAudioTracks()[0]!==i){const o=n??new Audio;o.srcObject=new MediaStream([i]),this.elements.set(s,o),this.start(o)}}}async resume(){this.isBlocked=!1,await Promise.all([...this.elements.values()].map(e=>this.start(e)))}close(){this.play(new Map)}async start(e){try{await e.play()}catch(s){s instanceof DOMException&&s.name==="NotAllowedError"&&(this.isBlocked=!0,this.changed())}}}function Ti(t,e,s){const i=o=>e.find(c=>c.id===o)?.displayName??"?",n=[];t.state==="recording"&&n.push("recording"),t.transcribing&&n.push("transcription");const r=[...Oi(t,i,s),...Pi(e,n)];return t.unrecorded.length>0&&r.push(a.room.stateUnrecorded(Ee(t.unrecorded.map(i)))),{text:r.join(" "),isRecording:n.length>0}}function Oi(t,e,s){const i=rt(t.since),n=rt(t.transcribingSince);if(t.state==="recording"&&t.transcribing&&i===n)return[a.room.stateBoth(i)];const r=[];switch(t.state){case"recording":r.push(a.room.stateRecording(i));break;case"paused":r.push(t.reason==="disk"?a.room.statePausedDisk(i):a.room.statePausedFor(Ee(t.waitingFor.map(e)),i));break;case"waiting":r.push(a.room.stateWaiting);break;default:r.push(a.room.stateOff);break}return t.transcribing?r.push(a.room.stateTranscribing(n)):t.state==="recording"&&s.includes("transcription")&&r.push(a.room.stateNotTranscribing),r}function Pi(t,e){const s=n=>t.filter(r=>e.every(o=>r.consent[o]!=="accepted"===n.includes(o))).map(r=>a.room.nameSince(r.displayName,rt(Ei(r,n))));return[[e,a.room.stateNot],...e.length>1?[[["recording"],a.room.stateNotRecorded],[["transcription"],a.room.stateNotTranscribed]]:[]].map(([n,r])=>({names:n.length>0?s(n):[],sentence:r})).filter(({names:n})=>n.length>0).map(({names:n,sentence:r})=>r(Ee(n)))}function Ei(t,e){return e.map(i=>t.consentSince[i]??t.joinedAt).reduce((i,n)=>(n??"")>(i??"")?n:i,null)}function rt(t){return t===null?"":a.room.stateSince(ss(new Date(t)))}var Ci=Object.defineProperty,Ni=Object.getOwnPropertyDescriptor,I=(t,e,s,i)=>{for(var n=i>1?void 0:i?Ni(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&Ci(e,s,n),n};let O=class extends ${constructor(){super(...arguments),this.video=null,this.screen=!1,this.own=!1,this.speaks=!1,this.muted=!1,this.paused=!1,this.records=!1,this.transcribes=!1,this.removable=!1}render(){const{displayName:t,id:e}=this.person,s=this.screen?a.room.screenOf(t):this.own?a.room.you(t):t;return l`
            <div class="tile ${this.speaks?"speaks":""}">
                ${this.video===null||this.paused?l`<div class="round" aria-hidden="true" ${he("--hue",Ye(e))}>
                          ${yi(t)}
                      </div>`:l`<video
                          class=${this.screen?"whole":""}
                          autoplay
                          playsinline
                          .muted=${!0}
                          .srcObject=${Di(this.video)}
                          aria-label=${s}
                      ></video>`}
                <div class="foot">
                    <span class="name">
                        ${this.muted?A.muted:d}
                        <span>${s}</span>
                        ${this.muted?l`<span class="unseen">, ${a.room.mutedState}</span>`:d}
                        ${this.speaks?l`<span class="unseen">, ${a.room.speaks}</span>`:d}
                    </span>
                    ${this.paused?l`<span class="mark">${a.room.paused}</span>`:d}
                    ${this.screen?d:this.kept()}
                </div>
                ${this.removable?l`<button
                          aria-label=${a.room.remove(t)}
                          title=${a.room.remove(t)}
                          @click=${()=>this.tell("remove",e)}
                      >
                          ✕
                      </button>`:d}
            </div>
        `}kept(){const{recording:t,transcription:e}=this.person.consent,{room:s}=a,[i,n]=[t==="accepted",e==="accepted"];return this.records&&this.transcribes&&i===n?this.mark(i,s.kept,s.notKept):[this.records?this.mark(i,s.recorded,s.notRecorded):d,this.transcribes?this.mark(n,s.transcribed,s.notTranscribed):d]}mark(t,e,s){return l`<span class="mark ${t?"kept":""}">${t?A.dot:d}${t?e:s}</span>`}};O.styles=[$.styles,b`
            :host {
                display: block;
                min-width: 0;
            }
            .tile {
                position: relative;
                aspect-ratio: 16 / 10;
                border-radius: var(--radius);
                background: var(--card);
                border: 1px solid var(--line);
                overflow: hidden;
                display: grid;
                place-items: center;
            }
            .tile.speaks {
                border-color: var(--accent);
                box-shadow: 0 0 0 2px var(--accent);
            }
            .round {
                width: 4.5rem;
                height: 4.5rem;
                border-radius: 50%;
                display: grid;
                place-items: center;
                font-size: 1.5rem;
                font-weight: 650;
                background: hsl(var(--hue) 55% 88%);
                color: hsl(var(--hue) 60% 25%);
            }
            video {
                position: absolute;
                inset: 0;
                width: 100%;
                height: 100%;
                object-fit: cover;
                background: #000;
            }
            video.whole {
                object-fit: contain;
            }
            .foot {
                position: absolute;
                inset: auto 0.5rem 0.5rem;
                display: flex;
                align-items: center;
                gap: 0.4rem;
                flex-wrap: wrap;
            }
            .name,
            .mark {
                display: inline-flex;
                align-items: center;
                gap: 0.3rem;
                border-radius: 0.45rem;
                padding: 0.1rem 0.5rem;
                background: rgb(20 24 29 / 0.82);
                color: #fff;
                font-size: 0.9rem;
                max-width: 100%;
            }
            .name span {
                overflow: hidden;
                text-overflow: ellipsis;
                white-space: nowrap;
            }
            .mark.kept {
                background: #7c1d17;
            }
            .mark svg,
            .name svg {
                width: 1rem;
                height: 1rem;
            }
            button {
                position: absolute;
                top: 0.5rem;
                inset-inline-end: 0.5rem;
                min-height: 2rem;
                padding: 0.1rem 0.6rem;
                font-size: 0.85rem;
            }
            @media (max-width: 46rem) {
                .tile {
                    aspect-ratio: 1;
                    place-items: start center;
                    padding-top: 0.9rem;
                }
                .round {
                    width: 3.2rem;
                    height: 3.2rem;
                    font-size: 1.1rem;
                }
                .name,
                .mark {
                    font-size: 0.8rem;
                }
            }
            @media (prefers-color-scheme: dark) {
                .round {
                    background: hsl(var(--hue) 35% 28%);
                    color: hsl(var(--hue) 70% 85%);
                }
            }
        `];I([p({attribute:!1})],O.prototype,"person",2);I([p({attribute:!1})],O.prototype,"video",2);I([p({type:Boolean})],O.prototype,"screen",2);I([p({type:Boolean})],O.prototype,"own",2);I([p({type:Boolean})],O.prototype,"speaks",2);I([p({type:Boolean})],O.prototype,"muted",2);I([p({type:Boolean})],O.prototype,"paused",2);I([p({type:Boolean})],O.prototype,"records",2);I([p({type:Boolean})],O.prototype,"transcribes",2);I([p({type:Boolean})],O.prototype,"removable",2);O=I([k("hansard-tile")],O);const Ut=new WeakMap;function Di(t){const e=Ut.get(t)??new MediaStream([t]);return Ut.set(t,e),e}var ji=Object.defineProperty,Ii=Object.getOwnPropertyDescriptor,S=(t,e,s,i)=>{for(var n=i>1?void 0:i?Ii(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&ji(e,s,n),n};const Ri=.25,Bi=600,Li=100,zi=4;let _=class extends ${constructor(){super(...arguments),this.purposes=[],this.meetingId="",this.bySession=!1,this.turn=0,this.speaking=new Set,this.showsCaptions=!0,this.showsConsent=!1,this.granting=!1,this.fault="",this.consentFault="",this.said="",this.asks=null,this.link="",this.sound=new Mi(()=>this.requestUpdate()),this.heardAt=new Map,this.ownLevel=null,this.key=t=>{if(t.key==="Escape"&&this.asks!==null){this.asks=null;return}const e=t.composedPath()[0];!(e instanceof HTMLElement&&/^(INPUT|TEXTAREA|SELECT)$/.test(e.tagName))&&!t.ctrlKey&&!t.metaKey&&!t.altKey&&t.key.toLowerCase()==="m"&&this.toggleMute()},this.toggleMute=async()=>{if(this.room.microphone!==null){await this.room.mute(!this.room.muted);return}try{await this.room.speakThrough(await ut()),this.fault=""}catch(t){this.fault=is(t)}},this.endForAll=()=>{this.ask(a.room.endSure,()=>this.asHost.put(`/v1/meetings/${this.meetingId}/end`))},this.confirmed=async()=>{const t=this.asks;this.asks=null;try{await t?.yes()}catch(e){this.fault=Be(e)}},this.copyLink=async()=>{try{const t=`/v1/meetings/${this.meetingId}/links`,e={role:"participant",expiresAt:null},{url:s}=await this.rest.with(null).post(t,e);try{await navigator.clipboard.writeText(s),this.said=a.room.copied,setTimeout(()=>this.said="",4e3)}catch{this.link=s}}catch(t){this.fault=Be(t)}}}connectedCallback(){super.connectedCallback(),this.timer=setInterval(()=>this.listen(),Li),window.addEventListener("keydown",this.key)}disconnectedCallback(){super.disconnectedCallback(),clearInterval(this.timer),window.removeEventListener("keydown",this.key),this.ownLevel?.level.close(),this.sound.close()}render(){const{room:t}=this,e=t.present,s=Ti(t.recording,e,this.purposes);return l`
            <div class="room">
                <header>
                    <p class="state ${s.isRecording?"on":""}" role="status" id="recording-state">
                        ${s.isRecording?A.dot:d}<span>${s.text}</span>
                    </p>
                </header>
                ${this.notices()}
                <main class=${this.showsCaptions?"":"alone"}>
                    <section class="people" aria-label=${a.room.people}>
                        <h1 class="unseen">${a.room.people}</h1>
                        <div class="tiles">${this.tiles(e)}</div>
                        ${e.length<2?l`<p class="quiet">${a.room.alone}</p>`:d}
                    </section>
                    <aside ?hidden=${!this.showsCaptions&&!this.showsConsent}>
                        ${this.showsConsent?this.consent():d}
                        ${this.showsCaptions?l`<hansard-captions-view
                                  .captions=${t.captions}
                                  .turn=${this.turn}
                                  ?bundled=${t.recording.model?.bundled===!0}
                              ></hansard-captions-view>`:d}
                    </aside>
                </main>
                ${this.controls()}
            </div>
        `}firstUpdated(){this.focusOn("#mute")}updated(){const t=new Map;for(const[e,{audio:s}]of this.room.remotes)s!==null&&t.set(e,s);this.sound.play(t)}notices(){const{room:t}=this,e={failed:a.fault.ice,unavailable:a.fault.noWebrtc,connecting:a.room.connecting,connected:""}[t.media],s=t.connection==="lost"?`${a.room.reconnecting}${t.tries>=zi?` ${a.fault.socket}`:""}`:t.connection==="connecting"?a.room.connecting:e;return l`
            <div class="notices" role="status">
                ${s===""?d:l`<p class="note warn">${s}</p>`}
                ${t.withdrawing?l`<p class="note warn">${a.consent.working}</p>`:d}
                ${this.said===""?d:l`<p class="note good">${this.said}</p>`}
                ${this.link===""?d:l`<p class="note">${a.room.linkIs} <a href=${this.link}>${this.link}</a></p>`}
            </div>
            ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
            ${this.sound.isBlocked?l`<p class="note warn row">
                      ${a.room.audioBlocked}
                      <button @click=${()=>this.sound.resume().then(()=>this.requestUpdate())}>
                          ${a.room.playAudio}
                      </button>
                  </p>`:d}
            ${this.asks===null?d:l`<div class="note row" role="alertdialog" aria-label=${this.asks.text}>
                      <strong>${this.asks.text}</strong>
                      <button class="danger sure" id="yes" @click=${this.confirmed}>${a.room.yes}</button>
                      <button @click=${()=>this.asks=null}>${a.cancel}</button>
                  </div>`}
        `}tiles(t){const{room:e}=this,s=t.flatMap(i=>{const n=i.id===e.ownId?e.pictures.get("screen")??null:e.remotes.get(i.id)?.screen??null,r=[{key:i.id,person:i,isScreen:!1,video:this.picture(i)}];return n===null||n.muted&&!e.paused.has(`${i.id} screen`)?r:[...r,{key:`${i.id} screen`,person:i,isScreen:!0,video:n}]});return ue(s,({key:i})=>i,({person:i,isScreen:n,video:r})=>l`
                <hansard-tile
                    .person=${i}
                    .video=${r}
                    ?screen=${n}
                    ?own=${i.id===e.ownId}
                    ?speaks=${!n&&this.speaking.has(i.id)}
                    ?muted=${this.isMuted(i)}
                    ?paused=${e.paused.has(`${i.id} ${n?"screen":"camera"}`)}
                    ?records=${this.purposes.includes("recording")}
                    ?transcribes=${this.purposes.includes("transcription")}
                    ?removable=${e.isHost&&i.id!==e.ownId&&i.role!=="host"}
                    @remove=${()=>this.removePerson(i)}
                ></hansard-tile>
            `)}picture(t){if(t.id===this.room.ownId)return this.room.pictures.get("camera")??null;const e=this.room.remotes.get(t.id)?.camera??null;return e===null||e.muted||e.readyState==="ended"?null:e}isMuted(t){return t.id===this.room.ownId?this.room.muted||this.room.withdrawing||this.room.microphone===null:t.streams.some(e=>e.source==="microphone"&&e.muted===!0)}consent(){const{room:t}=this;return l`
            <div class="card">
                <hansard-consent-panel
                    .consent=${t.self?.consent??{recording:null,transcription:null}}
                    .since=${e=>t.self?.consentSince[e]??null}
                    .purposes=${this.purposes}
                    ?withdrawing=${t.withdrawing}
                    ?granting=${this.granting}
                    .fault=${this.consentFault}
                    @agree=${e=>this.agree(e.detail)}
                    @withdraw=${e=>this.withdraw(e.detail)}
                ></hansard-consent-panel>
            </div>
        `}controls(){const{room:t}=this,e=t.muted||t.microphone===null,s=this.purposes.filter(i=>t.self?.consent[i]==="accepted");return l`
            <footer>
                <button
                    id="mute"
                    class="short ${e?"off":""}"
                    aria-pressed=${t.muted}
                    aria-keyshortcuts="m"
                    @click=${this.toggleMute}
                >
                    ${e?A.muted:A.microphone}
                    <span
                        >${t.microphone===null?a.room.noMicrophone:t.muted?a.room.unmute:a.room.mute}</span
                    >
                </button>
                ${this.showing("camera",A.camera)} ${Ys()?this.showing("screen",A.screen):d}
                <button
                    id="captions"
                    class="short"
                    aria-pressed=${this.showsCaptions}
                    @click=${()=>this.showsCaptions=!this.showsCaptions}
                >
                    ${A.captions}
                    <span>${this.showsCaptions?a.room.captionsHide:a.room.captionsShow}</span>
                </button>
                <button
                    id="consent"
                    class=${s.length>0?"kept":""}
                    aria-expanded=${this.showsConsent}
                    @click=${()=>this.showsConsent=!this.showsConsent}
                >
                    ${A.shield}<span>${a.consent.title}</span>
                </button>
                ${s.length>0||t.withdrawing?l`<button
                          id="withdraw"
                          class="danger"
                          ?disabled=${t.withdrawing}
                          @click=${()=>this.withdraw(s)}
                      >
                          <span>${a.consent.withdrawNow}</span>
                      </button>`:d}
                ${t.isHost?l`
                          ${this.bySession?l`<button id="copy" @click=${this.copyLink}>
                                    <span>${a.room.copyLink}</span>
                                </button>`:d}
                          <button id="end" class="danger" @click=${this.endForAll}>
                              <span>${a.room.end}</span>
                          </button>
                      `:d}
                <button id="leave" class="danger short" @click=${()=>this.room.leave()}>
                    ${A.leave}<span>${a.room.leave}</span>
                </button>
            </footer>
        `}showing(t,e){const s=this.room.pictures.has(t);return l`
            <button id=${t} class="short" aria-pressed=${s} @click=${()=>this.togglePicture(t)}>
                ${e}<span>${a.room[s?`${t}Off`:t]}</span>
            </button>
        `}async togglePicture(t){try{const e=this.room.pictures.has(t),s=t==="camera"?Gs:Js;await this.room.show(t,e?null:await s()),this.fault=""}catch(e){const s=t==="screen"&&e instanceof DOMException&&e.name==="NotAllowedError",i=e instanceof Error?e.message:String(e);this.fault=s?"":a.room.pictureFailed(i)}}async withdraw(t){this.consentFault="";try{await this.room.withdraw(t)}catch(e){this.consentFault=Be(e),this.showsConsent=!0}}async agree(t){this.consentFault="",this.granting=!0;try{await this.room.agree(t)}catch(e){this.consentFault=e instanceof E&&[0,503].includes(e.status)?a.fault.consentAway:Be(e)}finally{this.granting=!1}}get asHost(){return this.rest.with(this.room.token)}removePerson(t){const e=`/v1/meetings/${this.meetingId}/participants/${t.id}`;this.ask(a.room.removeSure(t.displayName),()=>this.asHost.delete(e))}ask(t,e){this.asks={text:t,yes:e},this.focusOn("#yes")}listen(){const t=performance.now(),{room:e}=this;if(e.microphone!==(this.ownLevel?.track??null)){this.ownLevel?.level.close();const n=e.microphone;this.ownLevel=n===null?null:{track:n,level:new pt(n)}}const s=[...e.remotes].map(([n,{level:r}])=>[n,r?.read()??0]);this.ownLevel!==null&&!e.withdrawing&&s.push([e.ownId,this.ownLevel.level.read()]);for(const[n,r]of s)r>Ri&&this.heardAt.set(n,t);for(const{participantId:n}of e.captions.partials)!e.remotes.has(n)&&n!==e.ownId&&this.heardAt.set(n,t);const i=new Set([...this.heardAt].filter(([,n])=>t-n<Bi).map(([n])=>n));(i.size!==this.speaking.size||[...i].some(n=>!this.speaking.has(n)))&&(this.speaking=i)}};_.styles=[$.styles,Ai];S([p({attribute:!1})],_.prototype,"room",2);S([p({attribute:!1})],_.prototype,"rest",2);S([p({attribute:!1})],_.prototype,"purposes",2);S([p()],_.prototype,"meetingId",2);S([p({type:Boolean})],_.prototype,"bySession",2);S([p({attribute:!1})],_.prototype,"turn",2);S([u()],_.prototype,"speaking",2);S([u()],_.prototype,"showsCaptions",2);S([u()],_.prototype,"showsConsent",2);S([u()],_.prototype,"granting",2);S([u()],_.prototype,"fault",2);S([u()],_.prototype,"consentFault",2);S([u()],_.prototype,"said",2);S([u()],_.prototype,"asks",2);S([u()],_.prototype,"link",2);_=S([k("hansard-room-view")],_);function Be(t){return t instanceof E&&t.status===0?a.fault.unreachable:t instanceof Error?a.fault.other(t.message):a.fault.title}var Ui=Object.defineProperty,qi=Object.getOwnPropertyDescriptor,Ge=(t,e,s,i)=>{for(var n=i>1?void 0:i?qi(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&Ui(e,s,n),n};let me=class extends ${constructor(){super(...arguments),this.heading="",this.text="",this.action=""}firstUpdated(){this.focusOn("h1")}render(){return l`
            <div class="page">
                <main class="narrow">
                    <div class="card" role="status">
                        <h1 tabindex="-1">${this.heading}</h1>
                        ${this.text===""?d:l`<p>${this.text}</p>`}
                    </div>
                    ${this.action===""?d:l`<div class="row">
                              <button class="primary" @click=${()=>this.tell("act")}>${this.action}</button>
                          </div>`}
                </main>
            </div>
        `}};me.styles=[$.styles,b`
            h1:focus {
                outline: none;
            }
        `];Ge([p()],me.prototype,"heading",2);Ge([p()],me.prototype,"text",2);Ge([p()],me.prototype,"action",2);me=Ge([k("hansard-message")],me);function qt(t,e){const{fault:s}=a,i=r=>({heading:s.title,text:r,action:a.retry}),n=(r,o)=>({heading:r,text:o,action:"",final:!0});if(!(t instanceof E))return i(t instanceof Error?t.message:String(t));switch(t.status){case 0:return i(s.unreachable);case 401:return e?n(s.linkGone,s.linkGoneText):n(s.linkMissing,s.linkMissingText);case 403:return e?n(s.linkGone,s.linkClosed):n(s.removed,s.removedText);case 404:return n(s.linkGone,s.linkGoneText);case 409:return n(s.over,s.overText);case 410:return n(s.over,s.deleted);case 429:return i(s.many);case 503:return i(s.full);default:return i(s.other(t.detail))}}var Hi=Object.defineProperty,Fi=Object.getOwnPropertyDescriptor,W=(t,e,s,i)=>{for(var n=i>1?void 0:i?Fi(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&Hi(e,s,n),n};let R=class extends ${constructor(){super(...arguments),this.root="",this.meeting="",this.stage={at:"loading"},this.busy=!1,this.fault="",this.wrongPassword="",this.turn=0,this.secret=null,this.guest=null,this.pending=!1,this.begin=async()=>{this.fault=this.wrongPassword="";let t;try{t=await this.rest.get(`/v1/meetings/${this.meeting}/invitation`)}catch(s){this.show(qt(s,this.secret!==null));return}if(document.title=`${t.hostName===""?a.join.titlePlain:a.join.title(t.hostName)} · ${a.product}`,t.status==="ended"){ce.write(this.meeting,null),this.show({heading:a.fault.over,text:a.fault.overText,action:""});return}this.guest=this.secret===null?null:ze.read(this.meeting);const e=ce.read(this.meeting);e?.resumeToken!=null?await this.comeBack(t,e,e.resumeToken):this.stage={at:"join",invitation:t}}}connectedCallback(){super.connectedCallback(),es(),this.secret=location.hash.startsWith("#hl_")?location.hash.slice(1):null,window.addEventListener("hashchange",()=>location.reload()),this.begin()}render(){const{stage:t}=this;switch(t.at){case"loading":return l`<hansard-message .heading=${a.loading}></hansard-message>`;case"message":return l`<hansard-message
                    .heading=${t.said.heading}
                    .text=${t.said.text}
                    .action=${t.said.action}
                    @act=${this.begin}
                ></hansard-message>`;case"join":return l`<hansard-join
                    .invitation=${t.invitation}
                    ?named=${this.secret===null}
                    .known=${this.guest?.displayName??""}
                    @forget=${()=>this.forget()}
                    ?busy=${this.busy}
                    .fault=${this.fault}
                    .wrongPassword=${this.wrongPassword}
                    @join=${e=>this.join(t.invitation,e.detail)}
                ></hansard-join>`;case"room":return l`<hansard-room-view
                    .room=${t.room}
                    .rest=${this.rest}
                    .purposes=${Ae(t.invitation)}
                    .meetingId=${this.meeting}
                    ?bySession=${this.secret===null}
                    .turn=${this.turn}
                ></hansard-room-view>`}}get rest(){return new ve(this.root,this.secret)}async comeBack(t,e,s){const i=await ut().catch(()=>null);this.enter(t,e,{resumeToken:s},i)}async join(t,e){this.busy=!0,this.fault=this.wrongPassword="";try{const s=await this.ask(e);await this.answer(t,s,e);const i=s.consentRequired.filter(r=>e.answers.get(r)!==!0);if(i.length>0){const r=Ee(i.map(o=>a.join[o]));this.fault=a.join.required(r);return}const n={participantId:s.participantId,displayName:e.displayName,signalUrl:s.signalUrl,resumeToken:null,consentToken:s.consentToken};this.enter(t,n,{token:s.token},e.microphone)}catch(s){this.refused(s)}finally{this.busy=!1}}async ask(t){const e=`/v1/meetings/${this.meeting}/join`;if(this.secret===null)return this.rest.post(e,{});const{displayName:s,password:i}=t;return this.guest!==null?this.rest.post(e,{consentToken:this.guest.consentToken}):this.rest.post(e,{displayName:s,...i===null?{}:{password:i}})}async answer(t,e,s){const i=this.rest.with(e.consentToken);for(const n of["accepted","declined"]){const r=Ae(t).filter(o=>s.answers.get(o)===(n==="accepted"));r.length>0&&await gt(i,this.meeting,r,n,t.hostName)}}refused(t){if(this.guest!==null&&t instanceof E&&[401,422].includes(t.status)){this.forget();return}const e=qt(t,this.secret!==null);t instanceof E&&t.kind==="wrong_password"?this.wrongPassword=a.join.passwordWrong:e.final?this.show(e):this.fault=e.text||e.heading}enter(t,e,s,i){const n=new os({rest:this.rest,meetingId:this.meeting,hostName:t.hostName,seat:e,entry:s,microphone:i,changed:()=>this.redraw(),end:r=>this.ended(t,r)});this.stage={at:"room",invitation:t,room:n}}ended(t,e){const{fault:s}=a;switch(e){case"absent":case"unauthorized":ce.write(this.meeting,null),this.guest=this.secret===null?null:ze.read(this.meeting),this.stage={at:"join",invitation:t};return;case"ended":this.show({heading:s.ended,text:s.endedText,action:""});return;case"left":this.show({heading:s.left,text:s.leftText,action:s.again});return;case"replaced":this.show({heading:s.replaced,text:s.replacedText,action:s.here});return;case"removed":case"consent_required":this.show({heading:s.removed,text:s.removedText,action:""});return}}forget(){ze.write(this.meeting,null),this.guest=null}show(t){this.stage={at:"message",said:t}}redraw(){this.pending||(this.pending=!0,queueMicrotask(()=>{this.pending=!1,this.turn+=1}))}};W([p()],R.prototype,"root",2);W([p()],R.prototype,"meeting",2);W([u()],R.prototype,"stage",2);W([u()],R.prototype,"busy",2);W([u()],R.prototype,"fault",2);W([u()],R.prototype,"wrongPassword",2);W([u()],R.prototype,"turn",2);W([u()],R.prototype,"guest",2);R=W([k("hansard-meeting")],R);function He(t){if(!(t instanceof E))return t instanceof Error?t.message:String(t);switch(t.status){case 0:return a.fault.unreachable;case 401:return`${a.host.signedOut}. ${a.host.signedOutText}`;case 429:return a.fault.many;default:return a.fault.other(t.detail)}}function cs(t){return new Date(t.startTime??t.scheduledTime??t.createdAt)}var Wi=Object.defineProperty,Vi=Object.getOwnPropertyDescriptor,ne=(t,e,s,i)=>{for(var n=i>1?void 0:i?Vi(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&Wi(e,s,n),n};const Ji=30,Yi=10,Gi=300,Ki=10,Ht=6;let U=class extends ${constructor(){super(...arguments),this.root="",this.meetings=null,this.people=new Map,this.cursor=null,this.name="",this.fault="",this.from="",this.to="",this.asked=0}connectedCallback(){super.connectedCallback(),this.read()}render(){const t=this.meetings?.filter(e=>this.fits(e));return l`
            <div class="page">
                <main class="wide">
                    <h1>${a.host.title}</h1>
                    <form class="card" role="search" @submit=${e=>e.preventDefault()}>
                        <label>
                            ${a.host.search}
                            <input
                                type="search"
                                placeholder=${a.host.searchHint}
                                @input=${e=>this.named(e.target.value)}
                            />
                        </label>
                        <label>
                            ${a.host.from}
                            <input type="date" @change=${e=>this.between({from:e})} />
                        </label>
                        <label>
                            ${a.host.to}
                            <input type="date" @change=${e=>this.between({to:e})} />
                        </label>
                    </form>
                    ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
                    ${t===void 0?l`<p role="status">${this.fault===""?a.loading:d}</p>`:this.list(t)}
                </main>
            </div>
        `}list(t){const e=this.meetings?.length===0&&this.from===""&&this.to==="";return l`
            <p role="status" class="quiet" ?hidden=${t.length>0}>
                ${e?a.host.none:a.host.noneFound}
            </p>
            <ul>
                ${ue(t,({id:s})=>s,s=>this.row(s))}
            </ul>
            ${this.cursor===null?d:l`<div class="row">
                      <button id="more" @click=${()=>this.more()}>${a.host.more}</button>
                  </div>`}
        `}row(t){const{id:e,status:s,startTime:i,endTime:n}=t,r=(this.people.get(e)??[]).map(c=>c.displayName),o=i===null||n===null?"":` · ${L(Date.parse(n)-Date.parse(i))}`;return l`
            <li class="card">
                <div>
                    <h2><a href=${`${this.root}/host/meetings/${e}`}>${Me(cs(t))}</a></h2>
                    <p class="small quiet">
                        ${r.length===0?d:`${a.host.participants} ${Ee(r.length>Ht?[...r.slice(0,Ht),"…"]:r)}`}${o}
                    </p>
                </div>
                <span class="badge ${s}">${a.host.status[s]}</span>
                ${s==="ended"?d:l`<a class="button" href=${`${this.root}/m/${e}`}>${a.host.enter}</a>`}
            </li>
        `}fits(t){const e=this.name.trim().toLocaleLowerCase(),s=this.people.get(t.id)??[];return e===""||s.some(i=>i.displayName.toLocaleLowerCase().includes(e))}named(t){this.name=t,clearTimeout(this.typing),this.typing=setTimeout(()=>void this.search(),Gi)}async more(){await this.read(this.cursor)&&await this.search()}async search(){const t=this.name;for(let e=0;e<Ki&&this.cursor!==null&&t.trim()!=="";e++)if((this.meetings?.filter(i=>this.fits(i)).length??0)>=Yi||!await this.read(this.cursor)||this.name!==t)return}between(t){const e=(s,i)=>s===void 0?i:s.target.value;this.from=e(t.from,this.from),this.to=e(t.to,this.to),this.read().then(()=>this.search())}async read(t=null){const e=++this.asked,s=new ve(this.root),i=new URLSearchParams({limit:String(Ji)});if(t!==null&&i.set("cursor",t),this.from!==""&&i.set("from",new Date(`${this.from}T00:00`).toISOString()),this.to!==""){const n=new Date(`${this.to}T00:00`);n.setDate(n.getDate()+1),i.set("to",n.toISOString())}try{const n=await s.get(`/v1/meetings?${i}`);if(e!==this.asked)return!1;this.meetings=[...t===null?[]:this.meetings??[],...n.data],this.cursor=n.nextCursor,this.fault="";for(const{id:r}of n.data){const o=await s.all(`/v1/meetings/${r}/participants`);this.people=new Map(this.people).set(r,o.filter(c=>c.joinedAt!==null))}return e===this.asked}catch(n){return this.fault=He(n),!1}}};U.styles=[$.styles,b`
            form {
                display: grid;
                grid-template-columns: repeat(auto-fit, minmax(10rem, 1fr));
                gap: 0.8rem;
            }
            form label {
                display: grid;
                gap: 0.2rem;
                font-size: 0.9rem;
                font-weight: 600;
            }
            form input {
                font-size: 1rem;
                font-weight: 400;
            }
            ul {
                list-style: none;
                margin: 0;
                padding: 0;
                display: grid;
                gap: 0.6rem;
            }
            li {
                display: flex;
                flex-wrap: wrap;
                align-items: center;
                gap: 0.4rem 1rem;
                padding: 0.9rem 1.1rem;
            }
            li > div {
                flex: 1 1 16rem;
                min-width: 0;
            }
            li h2 {
                font-size: 1.05rem;
            }
            .badge {
                border-radius: 1rem;
                padding: 0.05rem 0.7rem;
                font-size: 0.85rem;
                background: var(--accent-soft);
            }
            .badge.live {
                background: var(--good-soft);
                color: var(--good);
            }
        `];ne([p()],U.prototype,"root",2);ne([u()],U.prototype,"meetings",2);ne([u()],U.prototype,"people",2);ne([u()],U.prototype,"cursor",2);ne([u()],U.prototype,"name",2);ne([u()],U.prototype,"fault",2);U=ne([k("hansard-meeting-list")],U);var Zi=Object.defineProperty,Xi=Object.getOwnPropertyDescriptor,De=(t,e,s,i)=>{for(var n=i>1?void 0:i?Xi(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&Zi(e,s,n),n};let te=class extends ${constructor(){super(...arguments),this.lanes=[],this.segments=[],this.startMs=0,this.durationMs=1}render(){return l`<div role="group" aria-label=${a.player.speakers}>
            ${this.lanes.map(t=>this.lane(t))}
        </div>`}lane({id:t,name:e,track:s,canHear:i,isHeard:n}){const r=this.segments.filter(o=>o.participant.id===t);return l`
            <div class="lane">
                <label>
                    <input
                        type="checkbox"
                        .checked=${n}
                        ?disabled=${!i}
                        @change=${()=>this.tell("hear",t)}
                    />
                    <span>${e}</span>
                </label>
                <div class="bar" ${he("--hue",Ye(t))}>
                    ${r.map(({startMs:o,endMs:c})=>this.span("said",o,c,""))}
                    ${(s?.gaps??[]).map(({startMs:o,endMs:c,reason:h})=>this.span("gap",o,c,`${L(o)}–${L(c)} ${a.player.gap(a.player.gaps[h]??h)}`))}
                </div>
            </div>
        `}span(t,e,s,i){const n=r=>`${Math.min(100,Math.max(0,100*r/this.durationMs)).toFixed(3)}%`;return l`<div
            class=${t}
            title=${i}
            ${he("--from",n(e-this.startMs))}
            ${he("--width",n(s-e))}
        ></div>`}};te.styles=[$.styles,b`
            :host {
                display: grid;
                gap: 0.35rem;
            }
            .lane {
                display: grid;
                grid-template-columns: 9rem minmax(0, 1fr);
                gap: 0.6rem;
                align-items: center;
            }
            label {
                display: flex;
                align-items: center;
                gap: 0.5rem;
                min-width: 0;
                cursor: pointer;
            }
            label span {
                overflow: hidden;
                text-overflow: ellipsis;
                white-space: nowrap;
            }
            .bar {
                position: relative;
                height: 0.9rem;
                border-radius: 0.45rem;
                background: var(--ground);
                border: 1px solid var(--line);
                overflow: hidden;
            }
            .bar div {
                position: absolute;
                top: 0;
                bottom: 0;
                left: var(--from);
                width: max(2px, var(--width));
            }
            .said {
                background: hsl(var(--hue) 60% 45%);
            }
            .gap {
                background: repeating-linear-gradient(45deg, var(--edge) 0 2px, transparent 2px 6px);
            }
            @media (max-width: 40rem) {
                .lane {
                    grid-template-columns: 6.5rem minmax(0, 1fr);
                }
            }
        `];De([p({attribute:!1})],te.prototype,"lanes",2);De([p({attribute:!1})],te.prototype,"segments",2);De([p({type:Number})],te.prototype,"startMs",2);De([p({type:Number})],te.prototype,"durationMs",2);te=De([k("hansard-lanes")],te);const Qi=.12;async function Ft(t,e){const s=`/v1/recordings/${e.id}/content?redirect=false`,{url:i}=await t.get(s);return i}class en{constructor(e,s,i){this.rest=e,this.mix=s,this.element=i,this.tracks=new Map,this.loading=new Set,this.heard=null,this.renewed=0,this.follow=()=>{const n=this.nowMs;for(const[r,{recording:o,element:c}]of this.tracks){const h=(n-o.startMs)/1e3,g=h>=0&&h*1e3<(o.durationMs??1/0),w=this.heard?.has(r)===!0&&g&&!this.element.paused;c.playbackRate=this.element.playbackRate,w&&Math.abs(c.currentTime-h)>Qi&&(c.currentTime=h),w&&c.paused?c.play().catch(()=>{}):!w&&!c.paused&&c.pause()}},this.renew=async()=>{const n=performance.now();if(n-this.renewed<3e4)return;this.renewed=n;const[r,o]=[this.element.currentTime,!this.element.paused];await this.load(),this.element.currentTime=r,o&&await this.element.play().catch(()=>{})},i.addEventListener("play",this.follow),i.addEventListener("pause",this.follow),i.addEventListener("seeked",this.follow),i.addEventListener("timeupdate",this.follow),i.addEventListener("ratechange",this.follow),i.addEventListener("error",this.renew)}get nowMs(){return this.mix.startMs+this.element.currentTime*1e3}async load(){const e=await Ft(this.rest,this.mix);return this.element.src=e,e}seek(e){const s=(e-this.mix.startMs)/1e3,i=Number.isFinite(this.element.duration)?this.element.duration:s;this.element.currentTime=Math.min(Math.max(0,s),i)}async hear(e){this.heard=e===null?null:new Set(e.map(({id:s})=>s));for(const s of e??[])if(!this.tracks.has(s.id)&&!this.loading.has(s.id)){this.loading.add(s.id);const i=new Audio(await Ft(this.rest,s));this.loading.delete(s.id),i.preload="auto",this.tracks.set(s.id,{recording:s,element:i})}this.element.muted=this.heard!==null,this.follow()}close(){for(const{element:e}of this.tracks.values())e.pause(),e.removeAttribute("src");this.tracks.clear(),this.element.pause()}}function hs(t){const e=[];let s=0;const i=n=>{n>s&&e.push({text:t.text.slice(s,n),startMs:null,endMs:null,at:s}),s=n};for(const{text:n,startMs:r,endMs:o}of t.words??[]){const c=n.trim(),h=c===""?-1:t.text.indexOf(c,s);h>=0&&(i(h),e.push({text:c,startMs:r,endMs:o,at:s}),s+=c.length)}return i(t.text.length),e}function tn(t,e){const s=e.trim().toLocaleLowerCase();return s===""?[]:t.flatMap(i=>{const n=i.text.toLocaleLowerCase(),r=[];for(let o=n.indexOf(s);o>=0;o=n.indexOf(s,o+s.length)){const c=o+s.length,h=hs(i).find(g=>g.startMs!==null&&g.at+g.text.length>o);r.push({segmentId:i.segmentId,from:o,to:c,startMs:h?.startMs??i.startMs})}return r})}function sn(t,e){let[s,i]=[0,t.length];for(;s<i;){const n=s+i>>1;t[n]<=e?s=n+1:i=n}return s-1}var nn=Object.defineProperty,rn=Object.getOwnPropertyDescriptor,re=(t,e,s,i)=>{for(var n=i>1?void 0:i?rn(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&nn(e,s,n),n};let q=class extends ${constructor(){super(...arguments),this.segments=[],this.gaps=[],this.nameOf=()=>"",this.hits=[],this.hit=0,this.follows=!0,this.starts=[],this.words=[],this.spoken=null}render(){return l`
            <div class="row find">
                <input
                    type="search"
                    aria-label=${a.player.search}
                    placeholder=${a.player.search}
                    @input=${t=>this.find(t.target.value)}
                    @keydown=${t=>t.key==="Enter"&&this.go(t.shiftKey?-1:1)}
                />
                <span role="status" class="small quiet">
                    ${this.hits.length===0?d:a.player.hits(this.hits.length)}
                </span>
                <button aria-label=${a.player.previous} ?disabled=${this.hits.length===0} @click=${()=>this.go(-1)}>
                    ↑
                </button>
                <button aria-label=${a.player.next} ?disabled=${this.hits.length===0} @click=${()=>this.go(1)}>
                    ↓
                </button>
                <button aria-pressed=${this.follows} @click=${()=>this.follows=!this.follows}>
                    ${a.player.follow}
                </button>
            </div>
            <div class="text" tabindex="0" role="region" aria-label=${a.player.transcript} @click=${this.clicked}>
                ${this.segments.length===0?l`<p class="quiet">${a.player.transcriptNone}</p>`:d}
                ${ue(this.lines(),t=>"segment"in t?t.segment.segmentId:`${t.at} ${t.gap.reason}`,t=>"segment"in t?this.segment(t.segment):this.gap(t.gap))}
            </div>
        `}updated(t){(t.has("segments")||t.has("gaps"))&&(this.words=[...this.renderRoot.querySelectorAll("[data-ms]")].sort((e,s)=>Number(e.dataset.ms)-Number(s.dataset.ms)),this.starts=this.words.map(e=>Number(e.dataset.ms)))}mark(t){const e=t===null?-1:sn(this.starts,t),s=e<0?null:this.words[e],i=s!==null&&t!==null&&t<Number(s.dataset.end)+400?s:null;i!==this.spoken&&(this.spoken?.classList.remove("spoken"),i?.classList.add("spoken"),this.spoken=i,i!==null&&this.follows&&this.bring(i))}lines(){return[...this.segments.filter(({text:e})=>e!=="").map(e=>({at:e.startMs,segment:e})),...this.gaps.map(e=>({at:e.startMs,gap:e}))].sort((e,s)=>e.at-s.at)}segment(t){const{id:e,displayName:s}=t.participant;return l`
            <article>
                <button data-seek=${t.startMs}>${L(t.startMs)}</button>
                <p lang=${t.language??d}>
                    <span class="who" ${he("--hue",Ye(e))}>${s??this.nameOf(e)}</span
                    >${hs(t).map(i=>this.piece(t,i))}${t.translation?l`<span class="translation" lang=${t.translation.language}
                              >${t.translation.text}</span
                          >`:d}
                </p>
            </article>
        `}piece({segmentId:t},{text:e,startMs:s,endMs:i,at:n}){const r=this.hits[this.hit],o=h=>h.segmentId===t&&h.from<n+e.length&&h.to>n,c=this.hits.some(o)?`hit${r!==void 0&&o(r)?" here":""}`:"";return s===null?e:l`<span data-ms=${s} data-end=${i??s}
                  ><span class=${c}>${e}</span></span
              >`}gap({startMs:t,endMs:e,reason:s,participantId:i}){const n=i===void 0?"":`${this.nameOf(i)}: `;return l`<p class="gap">
            ${L(t)}–${L(e)} ${n}${a.player.gap(a.player.gaps[s]??s)}
        </p>`}find(t){this.hits=tn(this.segments,t),this.hit=0,this.updateComplete.then(()=>this.show())}go(t){const e=this.hits.length;e>0&&(this.hit=(this.hit+t+e)%e,this.tell("seek",this.hits[this.hit]?.startMs),this.updateComplete.then(()=>this.show()))}show(){const t=this.renderRoot.querySelector(".here");t!==null&&this.bring(t)}bring(t){const e=this.renderRoot.querySelector(".text");if(e!==null){const s=t.getBoundingClientRect().top-e.getBoundingClientRect().top;(s<e.clientHeight*.15||s>e.clientHeight*.8)&&(e.scrollTop+=s-e.clientHeight/3)}}clicked(t){const e=t.target,s=e.closest("[data-ms]")?.dataset.ms??e.closest("[data-seek]")?.dataset.seek;s!==void 0&&this.tell("seek",Number(s))}};q.styles=[$.styles,b`
            :host {
                display: grid;
                gap: 0.7rem;
                min-height: 0;
            }
            .find input {
                flex: 1 1 12rem;
            }
            .text {
                max-height: 28rem;
                overflow-y: auto;
                padding: 0.2rem;
                position: relative;
            }
            article {
                display: grid;
                grid-template-columns: 4.2rem minmax(0, 1fr);
                gap: 0 0.6rem;
                padding: 0.3rem 0;
            }
            article button {
                min-height: 1.6rem;
                padding: 0 0.3rem;
                border: 0;
                background: none;
                color: var(--accent);
                font-variant-numeric: tabular-nums;
                font-size: 0.9rem;
                justify-content: flex-start;
                align-self: start;
            }
            .who {
                font-weight: 650;
                color: hsl(var(--hue) 70% 30%);
                display: block;
                font-size: 0.9rem;
            }
            [data-ms] {
                cursor: pointer;
                border-radius: 0.2rem;
                padding: 0.05em 0;
            }
            [data-ms]:hover {
                text-decoration: underline;
            }
            .hit {
                background: #ffe08a;
                color: #1b1f24;
            }
            .hit.here {
                outline: 2px solid var(--accent);
            }
            .spoken {
                background: var(--accent);
                color: var(--accent-text);
            }
            .gap {
                color: var(--quiet);
                font-size: 0.9rem;
                font-style: italic;
            }
            .translation {
                display: block;
                color: var(--quiet);
                font-style: italic;
            }
            @media (max-width: 40rem) {
                .find input {
                    flex-basis: 100%;
                }
                article {
                    grid-template-columns: 3.2rem minmax(0, 1fr);
                }
            }
            @media (prefers-color-scheme: dark) {
                .who {
                    color: hsl(var(--hue) 80% 78%);
                }
            }
        `];re([p({attribute:!1})],q.prototype,"segments",2);re([p({attribute:!1})],q.prototype,"gaps",2);re([p({attribute:!1})],q.prototype,"nameOf",2);re([u()],q.prototype,"hits",2);re([u()],q.prototype,"hit",2);re([u()],q.prototype,"follows",2);q=re([k("hansard-transcript-view")],q);const on=600;async function an(t,e,s){const{peaks:i}=await t.get(`/v1/recordings/${e}/peaks?points=${on}`,s),n=Math.max(...i??[],1e-6);return(i??[]).map(r=>r/n)}function ln(t,e,s){const i=window.devicePixelRatio||1,[n,r]=[t.clientWidth,t.clientHeight];(t.width!==Math.round(n*i)||t.height!==Math.round(r*i))&&(t.width=Math.round(n*i),t.height=Math.round(r*i));const o=t.getContext("2d");if(o===null)return;const c=getComputedStyle(t),[h,g]=[c.getPropertyValue("--accent").trim(),c.getPropertyValue("--edge").trim()];o.setTransform(i,0,0,i,0,0),o.clearRect(0,0,n,r);const w=Math.max(1,Math.min(e.length,Math.floor(n/3))),m=n/w;for(let f=0;f<w;f++){const v=Math.floor(f*e.length/w),y=Math.max(v+1,Math.floor((f+1)*e.length/w)),D=Math.max(...e.slice(v,y)),ae=Math.max(2,D*(r-4));o.fillStyle=(f+.5)/w<=s?h:g,o.fillRect(f*m+.5,(r-ae)/2,Math.max(1,m-1),ae)}}var cn=Object.defineProperty,hn=Object.getOwnPropertyDescriptor,T=(t,e,s,i)=>{for(var n=i>1?void 0:i?hn(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&cn(e,s,n),n};const dn=[.75,1,1.25,1.5,2],Wt=10;let x=class extends ${constructor(){super(...arguments),this.meetingId="",this.mix=null,this.tracks=[],this.people=[],this.links=!0,this.playing=!1,this.nowS=0,this.bars=[],this.off=new Set,this.captions="",this.fault="",this.playback=null,this.file="",this.frame=0,this.stopped=new AbortController,this.toggle=()=>{const{video:t}=this;t?.paused===!0?t.play().catch(()=>{}):t?.pause()}}get isArchived(){return this.mix?.storageTier==="archive"&&this.mix.restore.state!=="restored"}get durationMs(){return this.mix?.durationMs??1}disconnectedCallback(){super.disconnectedCallback(),cancelAnimationFrame(this.frame),this.stopped.abort(),this.playback?.close(),this.playback=null,URL.revokeObjectURL(this.captions)}render(){const t=`${this.rest.root}/v1/meetings/${this.meetingId}/transcript`;return l`
            <section class="card player">
                ${this.mix===null?l`<p class="quiet">${a.player.notReady}</p>`:this.isArchived?this.archived():this.sound()}
                <h2>${a.player.transcript}</h2>
                ${this.transcript.complete?d:l`<p class="small quiet" role="status">${a.player.transcriptIncomplete}</p>`}
                <hansard-transcript-view
                    .segments=${this.transcript.segments}
                    .gaps=${this.gaps()}
                    .nameOf=${e=>this.nameOf(e)}
                    @seek=${e=>this.jump(e.detail)}
                ></hansard-transcript-view>
                <p class="small quiet" ?hidden=${!this.links}>
                    ${a.player.texts}
                    ${["txt","vtt","srt","json"].map((e,s)=>l`${s>0?" · ":""}<a href=${`${t}.${e}`}>${e.toUpperCase()}</a>`)}
                </p>
            </section>
        `}updated(t){const e=this.mix===null?"":`${this.mix.id} ${this.mix.sha256} ${this.isArchived}`;t.has("mix")&&e!==this.file&&(this.file=e,this.load()),this.paint()}archived(){return l`
            <p class="note">${a.player.archived}</p>
            <div class="wave">${this.wave()}</div>
            ${this.voices()}
        `}wave(){return l`<canvas role="img" aria-label=${a.player.wave}></canvas>`}voices(){return l`<hansard-lanes
            .lanes=${this.lanes()}
            .segments=${this.transcript.segments}
            .startMs=${this.mix?.startMs??0}
            .durationMs=${this.durationMs}
            @hear=${t=>this.hear(t.detail)}
        ></hansard-lanes>`}sound(){const t=L(this.nowS*1e3),e=L(this.durationMs);return l`
            <video
                preload="metadata"
                @play=${()=>this.started()}
                @pause=${()=>this.playing=!1}
                @seeked=${()=>this.tick()}
                @timeupdate=${()=>this.tick()}
            >
                ${this.captions===""?d:l`<track
                          kind="captions"
                          default
                          srclang=${this.transcript.language??"und"}
                          label=${a.captions.title}
                          src=${this.captions}
                      />`}
            </video>
            <div class="wave">
                ${this.wave()}
                <input
                    type="range"
                    min="0"
                    max=${Math.ceil(this.durationMs/1e3)}
                    step="1"
                    .value=${String(Math.floor(this.nowS))}
                    aria-label=${a.player.seek}
                    aria-valuetext=${a.player.at(t,e)}
                    @input=${s=>this.seekS(Number(s.target.value))}
                />
            </div>
            <div class="row">
                <button id="play" class="primary" @click=${this.toggle}>
                    ${this.playing?A.pause:A.play}${this.playing?a.player.pause:a.player.play}
                </button>
                <button aria-label=${a.player.back} @click=${()=>this.seekS(this.nowS-Wt)}>
                    ${A.back}10
                </button>
                <button aria-label=${a.player.forward} @click=${()=>this.seekS(this.nowS+Wt)}>
                    ${A.forward}10
                </button>
                <span class="time">${a.player.at(t,e)}</span>
                <label>
                    ${a.player.speed}
                    <select @change=${s=>this.rate(Number(s.target.value))}>
                        ${dn.map(s=>l`<option value=${s} ?selected=${s===1}>${s}×</option>`)}
                    </select>
                </label>
            </div>
            ${this.voices()}
            ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
        `}get video(){return this.renderRoot.querySelector("video")}lanes(){return[...new Set([...this.tracks.map(({participantId:e})=>e??""),...this.transcript.segments.map(({participant:e})=>e.id)])].map(e=>({id:e,name:this.nameOf(e),track:this.trackOf(e),canHear:!this.isArchived&&this.trackOf(e)!==null,isHeard:!this.off.has(e)}))}trackOf(t){return this.tracks.find(e=>e.participantId===t&&e.status==="ready")??null}nameOf(t){return this.people.find(e=>e.id===t)?.displayName??"?"}gaps(){return[...this.mix?.gaps??[],...this.transcript.gaps]}async load(){this.playback?.close(),this.playback=null;const{mix:t,video:e}=this;if(this.bars=[],t!==null&&(an(this.rest,t.id,this.stopped.signal).then(s=>this.bars=s).catch(()=>{}),e!==null)){this.playback=new en(this.rest,t,e),e.addEventListener("error",()=>{this.fault=a.player.cannotPlay}),e.addEventListener("loadedmetadata",()=>{this.fault=""});try{const[s]=await Promise.all([this.rest.text(`/v1/meetings/${this.meetingId}/transcript.vtt`),this.playback.load()]);URL.revokeObjectURL(this.captions),this.captions=URL.createObjectURL(new Blob([s],{type:"text/vtt"}))}catch(s){this.fault=s instanceof Error?s.message:String(s)}}}rate(t){this.video!==null&&(this.video.playbackRate=t)}seekS(t){this.playback?.seek((this.mix?.startMs??0)+t*1e3),this.tick()}jump(t){this.playback?.seek(t),this.tick(),this.renderRoot.querySelector("hansard-transcript-view")?.mark(t)}hear(t){const e=new Set(this.off);e.delete(t)||e.add(t),this.off=e;const s=this.lanes().filter(i=>i.isHeard&&i.track!==null).map(i=>i.track);this.playback?.hear(e.size===0?null:s)}started(){this.playing=!0,cancelAnimationFrame(this.frame);const t=()=>{this.tick(),this.playing&&(this.frame=requestAnimationFrame(t))};this.frame=requestAnimationFrame(t)}tick(){const{playback:t,video:e}=this;t===null||e===null||(Math.floor(e.currentTime)!==Math.floor(this.nowS)&&(this.nowS=e.currentTime),this.paint(),this.renderRoot.querySelector("hansard-transcript-view")?.mark(t.nowMs))}paint(){const t=this.renderRoot.querySelector("canvas");if(t!==null){const e=(this.video?.currentTime??0)*1e3/this.durationMs;ln(t,this.bars.length>0?this.bars:new Array(300).fill(.04),e)}}};x.styles=[$.styles,b`
            .player {
                display: grid;
                gap: 0.9rem;
            }
            video {
                width: 100%;
                height: 4.5rem;
                background: #101418;
                border-radius: 0.6rem;
            }
            .wave {
                position: relative;
                height: 5rem;
            }
            canvas {
                width: 100%;
                height: 100%;
                display: block;
            }
            .wave input {
                position: absolute;
                inset: 0;
                width: 100%;
                height: 100%;
                margin: 0;
                opacity: 0;
                cursor: pointer;
            }
            .wave:has(:focus-visible) {
                outline: 3px solid var(--accent);
                outline-offset: 2px;
                border-radius: 0.3rem;
            }
            .time {
                font-variant-numeric: tabular-nums;
                margin-inline-end: auto;
            }
            .player > .row > label {
                display: flex;
                align-items: center;
                gap: 0.4rem;
            }
        `];T([p({attribute:!1})],x.prototype,"rest",2);T([p()],x.prototype,"meetingId",2);T([p({attribute:!1})],x.prototype,"mix",2);T([p({attribute:!1})],x.prototype,"tracks",2);T([p({attribute:!1})],x.prototype,"people",2);T([p({attribute:!1})],x.prototype,"transcript",2);T([p({attribute:!1})],x.prototype,"links",2);T([u()],x.prototype,"playing",2);T([u()],x.prototype,"nowS",2);T([u()],x.prototype,"bars",2);T([u()],x.prototype,"off",2);T([u()],x.prototype,"captions",2);T([u()],x.prototype,"fault",2);x=T([k("hansard-player-view")],x);var pn=Object.defineProperty,un=Object.getOwnPropertyDescriptor,oe=(t,e,s,i)=>{for(var n=i>1?void 0:i?un(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&pn(e,s,n),n};const mn=7;let H=class extends ${constructor(){super(...arguments),this.name="",this.sure=!1,this.said="",this.fault="",this.removeIt=()=>this.act(async()=>{await this.rest.delete(`/v1/recordings/${this.recording.id}`),this.said=a.host.deleted}),this.again=()=>this.act(()=>this.rest.post(`/v1/recordings/${this.recording.id}/retry`,{})),this.restore=()=>this.act(async()=>{const t=`/v1/recordings/${this.recording.id}/restore`,{readyBy:e}=await this.rest.post(t,{days:mn});this.said=a.host.restoreBy(Me(new Date(e)))})}get isArchived(){const{storageTier:t,restore:e}=this.recording;return t==="archive"&&e.state!=="restored"}render(){const{recording:t,name:e}=this,{status:s,durationMs:i,sizeBytes:n,storageTier:r,progress:o,waitingFor:c,expiresAt:h}=t,g=[a.host.states[s]??s,i===null?"":L(i),n===null?"":Us(n),s==="ready"?a.host.tiers[r]:"",c===null?"":a.host.waitingFor[c],h===null?"":a.host.expires(Me(new Date(h)))].filter(w=>w);return l`
            <div class="row">
                <div class="what">
                    <strong>${e}</strong>
                    <p class="small quiet">${g.join(" · ")}</p>
                    ${s==="processing"?l`<progress aria-label=${e} max="1" .value=${o??0}></progress>`:d}
                    ${t.error===null?d:l`<p class="small">${t.error}</p>`}
                    <div role="status">
                        ${t.restore.state==="running"?l`<p class="small">${a.host.restoring}</p>`:d}
                        ${this.said===""?d:l`<p class="small">${this.said}</p>`}
                    </div>
                    ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
                </div>
                ${this.actions()}
            </div>
        `}actions(){const{recording:t,name:e}=this;if(this.sure)return l`
                <span>${a.host.deleteSure(e)}</span>
                <button id="sure" class="danger sure" @click=${this.removeIt}>${a.host.deleteYes}</button>
                <button @click=${()=>this.sure=!1}>${a.cancel}</button>
            `;const s=`${this.rest.root}/v1/recordings/${t.id}/content?download=true`;return l`
            ${t.status==="ready"&&!this.isArchived?l`<a class="button" href=${s} aria-label=${`${a.host.download}: ${e}`}>
                      ${A.download}${a.host.download}
                  </a>`:d}
            ${t.status==="ready"&&this.isArchived&&t.restore.state==="none"?l`<button @click=${this.restore}>${a.host.restore}</button>`:d}
            ${t.status==="failed"?l`<button @click=${this.again}>${a.host.tryAgain}</button>`:d}
            ${t.status==="ready"||t.status==="failed"?l`<button
                      class="danger"
                      aria-label=${`${a.host.delete}: ${e}`}
                      @click=${()=>{this.sure=!0,this.focusOn("#sure")}}
                  >
                      ${a.host.delete}
                  </button>`:d}
        `}async act(t){try{await t(),this.fault=""}catch(e){this.fault=He(e)}this.sure=!1,this.tell("changed")}};H.styles=[$.styles,b`
            .row {
                padding: 0.7rem 0;
                border-top: 1px solid var(--line);
            }
            .what {
                flex: 1 1 14rem;
                min-width: 0;
            }
            progress {
                width: 100%;
                accent-color: var(--accent);
            }
        `];oe([p({attribute:!1})],H.prototype,"rest",2);oe([p({attribute:!1})],H.prototype,"recording",2);oe([p()],H.prototype,"name",2);oe([u()],H.prototype,"sure",2);oe([u()],H.prototype,"said",2);oe([u()],H.prototype,"fault",2);H=oe([k("hansard-recording-row")],H);var gn=Object.defineProperty,fn=Object.getOwnPropertyDescriptor,B=(t,e,s,i)=>{for(var n=i>1?void 0:i?fn(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&gn(e,s,n),n};const Vt=2e3,wn=["recording","processing","deleting"];let C=class extends ${constructor(){super(...arguments),this.root="",this.meeting="",this.of=null,this.people=[],this.recordings=[],this.transcript=null,this.fault="",this.sure=!1,this.deleted=!1,this.removeIt=async()=>{try{await this.rest.delete(`/v1/meetings/${this.meeting}`),clearTimeout(this.timer),this.deleted=!0}catch(t){this.fault=He(t)}this.sure=!1}}get rest(){return new ve(this.root)}connectedCallback(){super.connectedCallback(),this.read()}disconnectedCallback(){super.disconnectedCallback(),clearTimeout(this.timer)}render(){const{of:t}=this;return l`
            <div class="page">
                <main class="wide">
                    <header>
                        <p><a href=${`${this.root}/host`}>${a.host.back}</a></p>
                        <h1>${t===null?a.loading:a.host.meetingOf(Me(cs(t)))}</h1>
                    </header>
                    ${this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}
                    ${this.deleted?l`<p class="note good" role="status">${a.host.deleted}</p>`:d}
                    ${t===null||this.deleted?d:this.content(t)}
                </main>
            </div>
        `}content(t){const e=this.recordings.find(({kind:s,status:i})=>s==="mix"&&i==="ready");return l`
            ${t.status==="ended"?d:l`<div class="note row">
                      ${t.status==="live"?a.host.live:d}
                      <a class="button" href=${`${this.root}/m/${t.id}`}>${a.host.enter}</a>
                  </div>`}
            ${this.transcript===null?d:l`<hansard-player-view
                      .rest=${this.rest}
                      .meetingId=${t.id}
                      .mix=${e??null}
                      .tracks=${this.recordings.filter(({kind:s})=>s==="track")}
                      .people=${this.people}
                      .transcript=${this.transcript}
                  ></hansard-player-view>`}
            <section class="card">
                <h2>${a.host.recordings}</h2>
                ${this.recordings.length===0?l`<p class="quiet">${a.host.noRecordings}</p>`:ue([...this.recordings].sort((s,i)=>+(i.kind==="mix")-+(s.kind==="mix")),({id:s})=>s,s=>l`
                              <hansard-recording-row
                                  .rest=${this.rest}
                                  .recording=${s}
                                  .name=${this.nameOf(s)}
                                  @changed=${()=>this.read()}
                              ></hansard-recording-row>
                          `)}
            </section>
            ${t.status==="live"?d:this.deleting()}
        `}deleting(){return this.sure?l`<div class="note warn row" role="alertdialog" aria-label=${a.host.deleteMeetingSure}>
                  <span>${a.host.deleteMeetingSure}</span>
                  <button id="sure" class="danger sure" @click=${this.removeIt}>${a.host.deleteYes}</button>
                  <button @click=${()=>this.sure=!1}>${a.cancel}</button>
              </div>`:l`<div class="row end">
                  <button
                      class="danger"
                      @click=${()=>{this.sure=!0,this.focusOn("#sure")}}
                  >
                      ${a.host.deleteMeeting}
                  </button>
              </div>`}nameOf({kind:t,participantId:e}){const s=this.people.find(({id:i})=>i===e);return t==="mix"?a.host.mix:a.host.track(s?.displayName??"?")}async read(){clearTimeout(this.timer);const t=`/v1/meetings/${this.meeting}`;try{const[e,s,i,n]=await Promise.all([this.rest.get(t),this.rest.all(`${t}/participants`),this.rest.all(`${t}/recordings`),this.rest.get(`${t}/transcript`).catch(vn)]);this.of=e,this.people=s,this.recordings=i,JSON.stringify(n)!==JSON.stringify(this.transcript)&&(this.transcript=n),this.fault="",(i.some(({status:o,restore:c})=>wn.includes(o)||c.state==="running")||e.status!=="ended"||n?.complete===!1)&&(this.timer=setTimeout(()=>this.read(),Vt))}catch(e){this.fault=He(e),e instanceof E&&[0,503].includes(e.status)&&(this.timer=setTimeout(()=>this.read(),Vt))}}};C.styles=[$.styles,b`
            header {
                display: grid;
                gap: 0.3rem;
            }
            .end {
                justify-content: flex-end;
            }
        `];B([p()],C.prototype,"root",2);B([p()],C.prototype,"meeting",2);B([u()],C.prototype,"of",2);B([u()],C.prototype,"people",2);B([u()],C.prototype,"recordings",2);B([u()],C.prototype,"transcript",2);B([u()],C.prototype,"fault",2);B([u()],C.prototype,"sure",2);B([u()],C.prototype,"deleted",2);C=B([k("hansard-meeting-page")],C);function vn(t){if(t instanceof E&&t.status===410)return null;throw t}var $n=Object.defineProperty,yn=Object.getOwnPropertyDescriptor,ft=(t,e,s,i)=>{for(var n=i>1?void 0:i?yn(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&$n(e,s,n),n};let Fe=class extends ${constructor(){super(...arguments),this.root="",this.meeting=""}connectedCallback(){super.connectedCallback(),es()}render(){return this.meeting===""?l`<hansard-meeting-list .root=${this.root}></hansard-meeting-list>`:l`<hansard-meeting-page .root=${this.root} .meeting=${this.meeting}></hansard-meeting-page>`}};ft([p()],Fe.prototype,"root",2);ft([p()],Fe.prototype,"meeting",2);Fe=ft([k("hansard-host")],Fe);var bn=Object.defineProperty,Ke=(t,e,s,i)=>{for(var n=void 0,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=o(e,s,n)||n);return n&&bn(e,s,n),n};class N extends ${constructor(){super(...arguments),this.url="",this.meeting="",this.token="",this.fault="",this.begun=""}get rest(){return new ve(this.url.replace(/\/+$/,""),this.token)}get signalUrl(){return`${this.rest.root.replace(/^http/,"ws")}/v1/signal`}updated(){const e=[this.url,this.meeting,this.token].join(" ");e!==this.begun&&this.meeting!==""&&this.token!==""&&(this.end(),this.begun=e,this.begin().catch(s=>this.fails(s)))}disconnectedCallback(){super.disconnectedCallback(),this.begun="",this.end()}fails(e){const s=e instanceof E&&e.status===0;this.fault=s?a.fault.unreachable:e instanceof Error?e.message:String(e),this.tell("fault",this.fault)}faultLine(){return this.fault===""?d:l`<p class="note bad" role="alert">${this.fault}</p>`}}Ke([p()],N.prototype,"url");Ke([p()],N.prototype,"meeting");Ke([p()],N.prototype,"token");Ke([u()],N.prototype,"fault");var kn=Object.defineProperty,_n=Object.getOwnPropertyDescriptor,wt=(t,e,s,i)=>{for(var n=i>1?void 0:i?_n(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&kn(e,s,n),n};let Te=class extends N{constructor(){super(...arguments),this.turn=0,this.bundled=!1,this.captions=new nt,this.of="",this.socket=null}render(){return l`
            ${this.faultLine()}
            ${this.meeting===""?d:l`<hansard-captions-view
                      .captions=${this.captions}
                      .turn=${this.turn}
                      ?bundled=${this.bundled}
                  ></hansard-captions-view>`}
        `}async begin(){this.fault="",this.of!==this.meeting&&(this.of=this.meeting,this.captions=new nt),this.socket=new rs(this.signalUrl,{token:this.token},0,{joined:t=>{this.fault="",this.captions.forgetPartials(),this.recording(t.recording)},message:t=>this.told(t),lost:t=>{t>2&&this.fails(new Error(a.fault.unreachable))},end:(t,e)=>{this.socket=null,this.captions.forgetPartials(),this.turn+=1,t!=="ended"&&this.fails(new Error(e)),this.tell("ended",{end:t,detail:e})}})}end(){this.socket?.close(),this.socket=null}recording({epoch:t,model:e}){this.captions.inEpoch(t),this.bundled=e?.bundled??this.bundled}told({type:t,data:e}){switch(t){case"transcript_update":case"transcript_corrected":{const s=e;this.captions.update(s,Date.now()),s.final&&this.tell("caption",s);break}case"transcript_translated":this.captions.translate(e.segmentId,e.text);break;case"transcript_retracted":this.captions.retract(e.segmentId);break;case"recording_state":this.recording(e);break;default:return}this.turn+=1}};Te.styles=[N.styles,b`
            :host {
                display: block;
                height: 20rem;
            }
            hansard-captions-view {
                height: 100%;
            }
        `];wt([u()],Te.prototype,"turn",2);wt([u()],Te.prototype,"bundled",2);Te=wt([k("hansard-captions")],Te);var xn=Object.defineProperty,Sn=Object.getOwnPropertyDescriptor,je=(t,e,s,i)=>{for(var n=i>1?void 0:i?Sn(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&xn(e,s,n),n};let se=class extends N{constructor(){super(...arguments),this.purposes=["recording","transcription"],this.consent={recording:null,transcription:null},this.withdrawing=!1,this.granting=!1,this.since=new Map,this.host=""}render(){return l`
            <div class="card">
                <hansard-consent-panel
                    .consent=${this.consent}
                    .since=${t=>this.since.get(t)??null}
                    .purposes=${this.purposes}
                    ?withdrawing=${this.withdrawing}
                    ?granting=${this.granting}
                    .fault=${this.fault}
                    @agree=${t=>this.say(t.detail,"accepted")}
                    @withdraw=${t=>this.say(t.detail,"withdrawn")}
                ></hansard-consent-panel>
            </div>
        `}async begin(){const t=`/v1/meetings/${this.meeting}`,e=await this.rest.get(`${t}/invitation`).catch(()=>null);e!==null&&(this.purposes=Ae(e),this.host=e.hostName);for(const s of await this.rest.all(`${t}/consents`))this.note(s.purposes,s.status,s.timestamp);this.fault=""}end(){this.consent={recording:null,transcription:null},this.since.clear()}note(t,e,s){const i={...this.consent};for(const n of t)i[n]=e,this.since.set(n,s);this.consent=i}async say(t,e){this.granting=e==="accepted",this.withdrawing=e==="withdrawn";try{const s=await(e==="accepted"?gt(this.rest,this.meeting,t,e,this.host):ns(this.rest,this.meeting,t,new AbortController().signal));this.note(t,e,s),this.fault="",this.tell("consent",{purposes:t,status:e})}catch(s){this.fails(s)}finally{this.granting=this.withdrawing=!1}}};se.styles=[N.styles,b`
            :host {
                display: block;
            }
        `];je([u()],se.prototype,"purposes",2);je([u()],se.prototype,"consent",2);je([u()],se.prototype,"withdrawing",2);je([u()],se.prototype,"granting",2);se=je([k("hansard-consent")],se);var An=Object.defineProperty,Mn=Object.getOwnPropertyDescriptor,Ze=(t,e,s,i)=>{for(var n=i>1?void 0:i?Mn(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&An(e,s,n),n};let ge=class extends N{constructor(){super(...arguments),this.people=[],this.recordings=[],this.transcript=null}render(){return l`
            ${this.faultLine()}
            ${this.transcript===null?d:l`<hansard-player-view
                      .rest=${this.rest}
                      .meetingId=${this.meeting}
                      .mix=${this.recordings.find(({kind:t,status:e})=>t==="mix"&&e==="ready")??null}
                      .tracks=${this.recordings.filter(({kind:t})=>t==="track")}
                      .people=${this.people}
                      .transcript=${this.transcript}
                      .links=${!1}
                  ></hansard-player-view>`}
        `}async begin(){const t=`/v1/meetings/${this.meeting}`,[e,s,i]=await Promise.all([this.rest.all(`${t}/participants`),this.rest.all(`${t}/recordings`),this.rest.get(`${t}/transcript`)]);this.people=e,this.recordings=s,this.transcript=i,this.fault=""}end(){this.transcript=null,this.recordings=[]}};ge.styles=[N.styles,b`
            :host {
                display: block;
            }
        `];Ze([u()],ge.prototype,"people",2);Ze([u()],ge.prototype,"recordings",2);Ze([u()],ge.prototype,"transcript",2);ge=Ze([k("hansard-player")],ge);var Tn=Object.defineProperty,On=Object.getOwnPropertyDescriptor,Xe=(t,e,s,i)=>{for(var n=i>1?void 0:i?On(e,s):e,r=t.length-1,o;r>=0;r--)(o=t[r])&&(n=(i?o(e,s,n):o(n))||n);return i&&n&&Tn(e,s,n),n};let fe=class extends N{constructor(){super(...arguments),this.room=null,this.invitation=null,this.turn=0}render(){return l`
            ${this.faultLine()}
            ${this.room===null||this.invitation===null?d:l`<hansard-room-view
                      .room=${this.room}
                      .rest=${this.rest}
                      .purposes=${Ae(this.invitation)}
                      .meetingId=${this.meeting}
                      .turn=${this.turn}
                  ></hansard-room-view>`}
        `}async begin(){this.invitation=await this.rest.get(`/v1/meetings/${this.meeting}/invitation`),this.room=new os({rest:this.rest,meetingId:this.meeting,hostName:this.invitation.hostName,seat:{participantId:"",displayName:"",signalUrl:this.signalUrl,resumeToken:null,consentToken:this.token},entry:{token:this.token},microphone:null,changed:()=>this.turn+=1,end:(t,e)=>{this.room=null,this.tell("ended",{end:t,detail:e})}}),this.fault=""}end(){this.room?.finish(),this.room=null}};fe.styles=[N.styles,b`
            :host {
                display: block;
                height: 40rem;
                --hansard-height: 100%;
            }
            hansard-room-view {
                display: block;
                height: 100%;
            }
        `];Xe([u()],fe.prototype,"room",2);Xe([u()],fe.prototype,"invitation",2);Xe([u()],fe.prototype,"turn",2);fe=Xe([k("hansard-room")],fe);
